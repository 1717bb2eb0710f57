"""The scores of a pipeline on annotated documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluate.categories import Categories
from spacy_bertft.evaluate.category_pipes import find_category_pipes, override_threshold
from spacy_bertft.evaluate.category_table import format_category_notes, format_category_rows, format_percent
from spacy_bertft.evaluate.inputs import read_inputs
from spacy_bertft.evaluate.picture import draw_categories
from spacy_bertft.evaluate.scorer import CategoryScorer
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import Page, Table
from spacy_bertft.pictures.plot import check_plot

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Evaluation:
    """Scores, as spaCy gives them.

    Attributes:
        scores: By name; shares between 0 and 1, `speed` in words per second. Of several components with categories,
            the last one's `cats_…` stand here, as in spaCy, and those of each in `cats_by_component`.
        n_docs: How many documents were scored.
        categories: The figures of every component with categories.
        calibration_errors: The expected calibration error of every component of ours with probabilities, by name.
    """

    scores: dict[str, Any]
    n_docs: int
    categories: tuple[Categories, ...] = ()
    calibration_errors: Mapping[str, float] = field(default_factory=dict)

    def format_tables(self) -> list[Rows]:
        """Lay out the figures of entities and of categories, in percent: those that there are."""
        tables = [self.format_rows(), *(format_category_rows(one) for one in self.categories)]
        return [rows for rows in tables if rows]

    def format_rows(self) -> Rows:
        """Lay out precision, recall and F1 of entities, in percent: overall, then by label."""
        per_type: dict[str, dict[str, float]] = self.scores.get("ents_per_type") or {}
        overall = {key: self.scores.get(f"ents_{key}") for key in ("p", "r", "f")}
        if overall["f"] is None:
            return []
        rows = [("entities, strict", "precision", "recall", "F1"), ("all", *_format(overall))]
        return rows + [(label, *_format(per_type[label])) for label in sorted(per_type)]

    def format_confusions(self) -> list[Rows]:
        """Lay out which classes were taken for which: the matrix or, of many classes, the most frequent mistakes."""
        found = [one.confusion.format_rows() for one in self.categories if one.confusion and one.confusion.n_docs]
        return [rows for rows in found if rows]

    def format_notes(self) -> str:
        """Name the other figures, in percent."""
        names = {
            "ents_token_f": "token-level micro F1 over all tags",
            "tag_acc": "tag accuracy",
            "pos_acc": "part-of-speech accuracy",
        }
        notes = [
            f"{text} {100 * self.scores[key]:.2f} %" for key, text in names.items() if self.scores.get(key) is not None
        ]
        notes += [
            f"expected calibration error of {name} {100 * error:.2f} %"
            for name, error in self.calibration_errors.items()
        ]
        notes += [note for one in self.categories for note in format_category_notes(one)]
        if not notes and not self.format_tables():
            notes = ["nothing to score: the documents have no gold annotation of a kind that the pipeline predicts"]
        return "; ".join([*notes, f"{self.n_docs:,} documents; {self.scores['speed']:,.0f} words per second"]) + "."


def evaluate(
    pipeline: Path | str,
    data_path: Path | str,
    output_path: Path | str | None = None,
    plot_path: Path | str | None = None,
    threshold: float | None = None,
) -> Evaluation:
    """Score a pipeline on documents with gold annotation.

    Entities: precision, recall and F1 by label, where both ends have to be right, and the token-level F1. Tags:
    accuracy. Categories: figures by label, and the confusion matrix.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        data_path: A .spacy file with gold annotation, as convert writes it.
        output_path: Write all scores to this JSON file.
        plot_path: Draw categories: the confusion matrix or, where texts may have several labels, the F1 by label.
            An .html, .png or .svg file.
        threshold: Where texts may have several labels, predict those with at least this score, from 0 to 1; by
            default as trained.

    Raises:
        DataError: There is no such pipeline, or no documents to score it on.
        SettingError: The plot has another ending, or the threshold is not between 0 and 1; or the pipeline has no
            categories for them.
        MissingExtraError: A plot is wanted, and matplotlib is not installed.
    """
    if plot_path is not None:
        check_plot(Path(plot_path))
    nlp, examples = read_inputs(pipeline, data_path)
    if threshold is not None:
        override_threshold(nlp, threshold)
    if plot_path is not None and not find_category_pipes(nlp):
        raise SettingError("plot", str(plot_path), "none, since the pipeline has no categories to draw")
    scorer = CategoryScorer(nlp)
    scores = nlp.evaluate(examples, scorer=scorer)
    if scorer.calibration_errors:
        scores["calibration_error"] = scorer.calibration_errors
    evaluation = Evaluation(scores, len(examples), tuple(scorer.categories), scorer.calibration_errors)
    if output_path is not None:
        with replace_when_done(Path(output_path)) as path:
            srsly.write_json(path, evaluation.scores)
    if plot_path is not None:
        title = f"{Path(pipeline).name} on {Path(data_path).name}"
        draw_categories(evaluation.categories, Path(plot_path), _make_page(evaluation, title))
    return evaluation


def _make_page(evaluation: Evaluation, title: str) -> Page:
    tables = [Table(rows) for rows in evaluation.format_tables() + evaluation.format_confusions()]
    # A matrix of many classes is wider than a column of text.
    return Page(title, title, evaluation.format_notes(), "The figures of the tables below", tables, is_wide=True)


def _format(scores: Mapping[str, float | None]) -> list[str]:
    return [format_percent(scores[key]) for key in ("p", "r", "f")]
