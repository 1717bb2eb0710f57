"""The scores of a pipeline on annotated documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.training import Corpus

from ..errors import DataError
from ..output import replace_when_done


@dataclass(frozen=True)
class Evaluation:
    """Scores, as spaCy gives them.

    Attributes:
        scores: By name; shares between 0 and 1, `speed` in words per second.
        n_docs: How many documents were scored.
    """

    scores: dict[str, Any]
    n_docs: int

    def format_rows(self) -> list[tuple[str, ...]]:
        """Lay out precision, recall and F1 of entities, in percent: overall, then by label."""
        per_type: dict[str, dict[str, float]] = self.scores.get("ents_per_type") or {}
        overall = {key: self.scores.get(f"ents_{key}") for key in ("p", "r", "f")}
        if overall["f"] is None:
            return []
        rows = [("entities, strict", "precision", "recall", "F1"), ("all", *_format(overall))]
        return rows + [(label, *_format(per_type[label])) for label in sorted(per_type)]

    def format_notes(self) -> str:
        """Name the other figures, in percent."""
        names = {
            "ents_token_f": "token-level micro F1 over all tags",
            "tag_acc": "tag accuracy",
            "pos_acc": "part-of-speech accuracy",
        }
        found = [
            f"{text} {100 * self.scores[key]:.2f} %" for key, text in names.items() if self.scores.get(key) is not None
        ]
        return "; ".join([*found, f"{self.n_docs:,} documents; {self.scores['speed']:,.0f} words per second"]) + "."


def evaluate(pipeline: Path | str, data_path: Path | str, output_path: Path | str | None = None) -> Evaluation:
    """Score a pipeline.

    Args:
        pipeline: A folder, or the name of an installed pipeline.
        data_path: A `.spacy` file with gold annotation.
        output_path: A JSON file to write the scores to.

    Raises:
        DataError: There is no such pipeline, or no documents to score it on.
    """
    if not Path(data_path).is_file():
        raise DataError(f"{data_path} is no file. Expected a .spacy file, as `spacy-bertft convert` writes it.")
    try:
        nlp = spacy.load(pipeline)
    except OSError as error:
        raise DataError(f"{pipeline} is no pipeline: expected a folder or the name of an installed one.") from error
    examples = list(Corpus(data_path)(nlp))
    if not examples:
        raise DataError(f"{data_path} holds no documents.")
    scores = nlp.evaluate(examples)
    if output_path is not None:
        with replace_when_done(Path(output_path)) as path:
            srsly.write_json(path, scores)
    return Evaluation(scores, len(examples))


def _format(scores: Mapping[str, float | None]) -> list[str]:
    return ["–" if scores[key] is None else f"{100 * scores[key]:.2f}" for key in ("p", "r", "f")]  # type: ignore[operator]
