"""`spacy-bertft export-hf`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import Pipeline
from spacy_bertft.cli.tables import print_notes


def export_hf_command(
    pipeline: Pipeline,
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The checkpoint folder to write.")],
    component: Annotated[str | None, typer.Option(help="Name of the component.", show_default="the only one")] = None,
) -> None:
    """Write a component as a Hugging Face checkpoint, with its tokenizer and a model card."""
    from spacy_bertft.exchange.export_hf import export_hf

    print_notes(str(export_hf(pipeline, output_dir, component)))
