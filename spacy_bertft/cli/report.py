"""`spacy-bertft report`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.tables import print_notes, print_table


def report_command(
    pipeline: Pipeline,
    data_path: Annotated[
        Path, typer.Argument(metavar="DEV", help="A .spacy file with gold annotation, not used for training.")
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUT", help="The .html page to write.")],
    against: Annotated[
        str | None, typer.Option(metavar="PIPELINE2", help="Compare with another pipeline on the same documents.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="The output_file of spaCy's ConsoleLogger, for the learning curve.",
            show_default="log.jsonl beside the folder of the pipeline, if there is one",
        ),
    ] = None,
    n_errors: Annotated[int, typer.Option(help="Show this many of the surest mistakes of each component.")] = 20,
    resamples: Annotated[int, typer.Option(help="How often documents are drawn for intervals and p-values.")] = 1000,
    seed: Annotated[int, typer.Option(help="Where the random numbers for that start.")] = 0,
    gpu_id: GpuId = -1,
) -> None:
    """Write one page about how good a pipeline is.

    Figures by label with bootstrap intervals, what was taken for what, kinds of errors, reliability,
    lengths, the learning curve and the surest mistakes, for every component of ours.
    """
    from spacy_bertft.evaluate.pipeline_report import report
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    written = report(
        pipeline,
        data_path,
        output_path,
        against=against,
        log_path=log,
        n_errors=n_errors,
        n_resamples=resamples,
        seed=seed,
    )
    print_table(written.format_rows())
    print_notes(str(written))
