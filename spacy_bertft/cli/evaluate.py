"""`spacy-bertft evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from .tables import print_notes, print_table


def evaluate_command(
    pipeline: Annotated[str, typer.Argument(help="A trained pipeline: a folder, or the name of an installed one.")],
    data_path: Annotated[Path, typer.Argument(metavar="DATA", help="A .spacy file with gold annotation.")],
    output: Annotated[Path | None, typer.Option(help="Write all scores to this JSON file.")] = None,
) -> None:
    """Score a pipeline: strict entities overall and by label, and the token-level F1 beside them."""
    from ..report.evaluation import evaluate

    evaluation = evaluate(pipeline, data_path, output)
    if rows := evaluation.format_rows():
        print_table(rows)
    print_notes(evaluation.format_notes())
