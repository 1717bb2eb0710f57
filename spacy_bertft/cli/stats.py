"""`spacy-bertft stats`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.tables import print_notes, print_table


def stats_command(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Column files or .spacy files.")],
    encoder: Annotated[
        str | None, typer.Option(help="Hub name or folder of an encoder, to count pieces (subwords) too.")
    ] = None,
    window: Annotated[int, typer.Option(help="Pieces that the encoder takes at once.")] = 512,
    plot: Annotated[Path | None, typer.Option(help="Draw the lengths: an .html, .png or .svg file.")] = None,
    kind: Annotated[
        str,
        typer.Option("--as", help="What to count: ents (entities), tags, or cats (categories; in .spacy files only)."),
    ] = "ents",
    word_column: Annotated[
        str | None,
        typer.Option(
            help="The column of the words in column files, as for convert.", show_default="found in each file"
        ),
    ] = None,
    tag_column: Annotated[
        str | None,
        typer.Option(help="The column of the tags in column files, as for convert.", show_default="found in each file"),
    ] = None,
) -> None:
    """Tell how long the texts of a corpus are, and what its labels are."""
    from spacy_bertft.data.histogram import draw_lengths
    from spacy_bertft.data.stats import measure_corpus

    tokenizer = None
    if encoder is not None:
        from spacy_bertft.checkpoints import read_tokenizer

        tokenizer = read_tokenizer(encoder).count_pieces
    stats = measure_corpus(paths, tokenizer, window, kind=kind, tag_column=tag_column, word_column=word_column)
    if plot is not None:
        draw_lengths(stats, plot)
    print_table(stats.format_rows())
    if stats.label_counts:
        print_table(stats.format_label_rows())
    print_notes(stats.format_notes())
