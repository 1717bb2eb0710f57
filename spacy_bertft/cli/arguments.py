"""Arguments that several commands have."""

from typing import Annotated

import typer

Pipeline = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="A trained pipeline: its folder, or its name if it is installed."),
]
GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="Number of the GPU, -1 for the CPU.")]
