"""`spacy-bertft demo`."""

from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId
from spacy_bertft.cli.tables import print_notes


def demo_command(
    pipelines: Annotated[
        list[str],
        typer.Argument(metavar="PIPELINE", help="Trained pipelines, side by side: folders, or installed ones by name."),
    ],
    port: Annotated[int, typer.Option(help="Where the page is, on this machine only.")] = 7860,
    browser: Annotated[bool, typer.Option(help="Show the page in a browser.")] = True,
    gpu_id: GpuId = -1,
) -> None:
    """Open a local page to type a text and see what pipelines answer, and why.

    Entities with their probabilities, categories as bars, and the words that each answer rests on.
    """
    from spacy_bertft.demo.server import open_demo
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    demo = open_demo(pipelines, port, open_browser=browser)
    print_notes(f"Open on {demo.url}, until Ctrl+C.")
    demo.wait()
