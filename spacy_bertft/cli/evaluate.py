"""`spacy-bertft evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.tables import print_notes, print_table


def evaluate_command(
    pipeline: Pipeline,
    data_path: Annotated[
        Path, typer.Argument(metavar="DATA", help="A .spacy file with gold annotation, as convert writes it.")
    ],
    output: Annotated[Path | None, typer.Option(help="Write all scores to this JSON file.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw categories: the confusion matrix or, where texts may have several labels, the F1 by label. "
            "An .html, .png or .svg file."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Where texts may have several labels, predict those with at least this score, from 0 to 1.",
            show_default="as trained",
        ),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Score a pipeline on documents with gold annotation.

    Entities: precision, recall and F1 by label, where both ends have to be right.
    Beside them the token-level F1, which forgives more. Tags: accuracy.
    Categories: figures by label, and which class was taken for which.
    """
    from spacy_bertft.evaluate.evaluation import evaluate
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    evaluation = evaluate(pipeline, data_path, output, plot, threshold)
    for rows in evaluation.format_tables():
        print_table(rows)
    print_notes(evaluation.format_notes())
    for rows in evaluation.format_confusions():
        print_table(rows)
