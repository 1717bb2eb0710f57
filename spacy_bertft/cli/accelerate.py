"""`spacy-bertft accelerate`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.tables import print_notes


def accelerate_command(
    pipeline: Annotated[
        str,
        typer.Argument(metavar="PIPELINE", help="A pipeline of spacy-transformers: its folder, or its name."),
    ],
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The pipeline folder to write.")],
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
) -> None:
    """Rewrite a trained spacy-transformers pipeline to run faster, with the same weights."""
    from typing import Any, cast

    from spacy_bertft.exchange.accelerate import accelerate

    print_notes(str(accelerate(pipeline, output_dir, precision=cast(Any, precision))))
