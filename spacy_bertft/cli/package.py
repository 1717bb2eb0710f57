"""`spacy-bertft package`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import Pipeline
from spacy_bertft.cli.tables import print_notes


def package_command(
    pipeline: Pipeline,
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The folder to write the package into.")],
    precision: Annotated[
        str, typer.Option(help="Format of the encoder's weights: fp32, bf16 or fp16; the last two halve the package.")
    ] = "fp32",
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the package.", show_default="that of the pipeline")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", "-v", help="Its version.", show_default="that of the pipeline")
    ] = None,
    build: Annotated[str, typer.Option("--build", "-b", help="sdist, wheel, both with a comma, or none.")] = "sdist",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier package.")] = False,
) -> None:
    """Make an installable package of a pipeline, as spaCy's own package does, at half its size if asked for."""
    from typing import Any, cast

    from spacy_bertft.exchange.package import package

    report = package(
        pipeline,
        output_dir,
        precision=cast(Any, precision),
        name=name,
        version=version,
        builds=[each.strip() for each in build.split(",")],
        force=force,
    )
    print_notes(str(report))
