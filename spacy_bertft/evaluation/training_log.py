"""The log of a training run, as spaCy's ConsoleLogger writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spacy_bertft.data.rows import read_lines
from spacy_bertft.errors import ColumnFormatError, DataError
from spacy_bertft.evaluation.bootstrap import Floats
from spacy_bertft.evaluation.tables import Rows

# Next to `model-best`.
LOG_NAME = "log.jsonl"
_EXPECTED = "Expected a line of the output_file of spacy.ConsoleLogger.v3."


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """A training run, as seen on its development set.

    Attributes:
        path: The file.
        steps: `(E,)` after how many steps it was evaluated.
        losses: `(E,)` losses by component, each summed since the evaluation before.
        scores: `(E,)` scores by name, as the logger writes them: shares in percent.
        total: `(E,)` the weighted score that the best pipeline is chosen by, in percent.
    """

    path: Path
    steps: Floats
    losses: dict[str, Floats]
    scores: dict[str, Floats]
    total: Floats

    @property
    def best(self) -> int:
        """The index of the evaluation with the best score, the last of several, as spaCy chooses it."""
        return len(self.total) - 1 - int(np.argmax(self.total[::-1]))

    def format_rows(self) -> Rows:
        """Lay out scores and losses by step."""
        names = ["score", *self.scores, *(f"loss of {name}" for name in self.losses)]
        columns = np.stack([self.total, *self.scores.values(), *self.losses.values()], axis=1).tolist()
        rows = zip(self.steps.tolist(), columns, strict=True)
        return [("step", *names), *((f"{step:,.0f}", *(f"{value:,.2f}" for value in row)) for step, row in rows)]


def find_log(pipeline: Path | str, log_path: Path | str | None = None) -> Path | None:
    """Find the log of a training run: the one given, or `log.jsonl` next to the folder of the pipeline, or None.

    Args:
        pipeline: A folder such as `training/model-best`, or the name of an installed pipeline.
        log_path: A log.

    Raises:
        DataError: There is no such log.
    """
    if log_path is None:
        sibling = Path(pipeline).resolve().parent / LOG_NAME
        return sibling if Path(pipeline).is_dir() and sibling.is_file() else None
    if not Path(log_path).is_file():
        raise DataError(f"{log_path} is no file. Expected the output_file of spacy.ConsoleLogger.v3, or no --log.")
    return Path(log_path)


def read_training_log(path: Path) -> TrainingLog:
    """Read a log.

    Raises:
        DataError: It has no evaluation.
        ColumnFormatError: A line is none that the logger writes.
    """
    rows = [_read_row(path, number, line) for number, line in read_lines(path) if line.strip()]
    if not rows:
        raise DataError(f"{path} has no evaluation. {_EXPECTED}")

    def collect(key: str) -> dict[str, Floats]:
        names = dict.fromkeys(name for row in rows for name in row[key])
        return {name: np.array([row[key].get(name, np.nan) for row in rows], dtype=np.float64) for name in names}

    return TrainingLog(
        path=path,
        steps=np.array([row["step"] for row in rows], dtype=np.float64),
        losses=collect("losses"),
        scores=collect("scores"),
        total=100 * np.array([row["score"] for row in rows], dtype=np.float64),
    )


def _read_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
        sum([row["step"], row["score"], *row["losses"].values(), *row["scores"].values()])  # only numbers have a sum
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = "this is no JSON" if isinstance(error, ValueError) else "this is no evaluation with numbers"
        raise ColumnFormatError(path, number, problem, _EXPECTED) from error
    return row
