"""`spacy-bertft convert`."""

from pathlib import Path
from typing import Annotated

import typer

from .tables import print_notes, print_table


def convert_command(
    input_paths: Annotated[list[Path], typer.Argument(metavar="IN...", help="Column files, one or several.")],
    output_path: Annotated[Path, typer.Argument(metavar="OUT", help="The .spacy file to write.")],
    scheme: Annotated[
        str | None, typer.Option(help="bio, iob1, biluo or bioes.", show_default="guessed from the files")
    ] = None,
    tag_column: Annotated[
        str | None, typer.Option(help="first or last.", show_default="found out, file by file")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language code of the vocabulary.")] = "en",
    n_sents: Annotated[int, typer.Option(help="Sentences per doc, at most.")] = 1,
    dev: Annotated[float, typer.Option(help="Share of the sentences to split off.")] = 0.0,
    dev_path: Annotated[Path | None, typer.Option(help="Where to write them.", show_default="OUT-dev.spacy")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    orphans: Annotated[str, typer.Option(help="Tags in illegal places: error or repair.")] = "error",
    kind: Annotated[
        str, typer.Option("--as", help="ents for entities, tags for plain tags (part of speech).")
    ] = "ents",
) -> None:
    """Convert BIO or CoNLL-style column files to spaCy's binary format."""
    from ..corpus.convert import convert

    report = convert(
        input_paths,
        output_path,
        scheme=scheme,
        tag_column=tag_column,
        lang=lang,
        n_sents=n_sents,
        dev=dev,
        dev_path=dev_path,
        seed=seed,
        orphans=orphans,
        kind=kind,
    )
    print_table(report.format_rows())
    print_notes(report.format_notes())
