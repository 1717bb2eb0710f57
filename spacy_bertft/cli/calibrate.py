"""`spacy-bertft calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.tables import print_notes, print_table


def calibrate_command(
    pipeline: Pipeline,
    dev_path: Annotated[
        Path, typer.Argument(metavar="DEV", help="A .spacy file with gold annotation, not used for training.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Write the pipeline to this folder.", show_default="it is changed where it stands"),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Measure on this .spacy file too.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw reliability before and after, and precision and recall by min_score. "
            "An .html, .png or .svg file."
        ),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Make probabilities honest: of answers given with 80 %, 80 in 100 should be right.

    Fits one number for each component, the temperature that its scores are divided by, and stores it in the pipeline.
    Which answer is best does not change.
    """
    from spacy_bertft.evaluate.calibrate import calibrate
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    report = calibrate(pipeline, dev_path, output, test_path=test, plot_path=plot)
    print_table(report.format_rows())
    print_notes(str(report))
