"""What is measured of one component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from spacy_bertft.components.predictions import Judged, Prediction, format_caption
from spacy_bertft.evaluation.confusion import ConfusionMatrix
from spacy_bertft.evaluation.counts import Counts
from spacy_bertft.pictures.page import Mark
from spacy_bertft.training.calibration import Reliability, measure_reliability

Kind = Literal["entities", "spans", "categories", "tags", "numbers", "answers", "choices"]
_MAX_EXCERPT = 600


class Excerpt(NamedTuple):
    """Part of a text.

    Attributes:
        caption: What it shows.
        text: The part, with an ellipsis where the text continues.
        marks: What is marked, counted in the characters of the part.
    """

    caption: str
    text: str
    marks: tuple[Mark, ...] = ()


class PredictionError(NamedTuple):
    """An incorrect prediction.

    Attributes:
        confidence: How sure the component was, from 0 to 1; of a number, how far it is off.
        caption: What is wrong.
        excerpts: The text, with the gold annotation and the predictions.
    """

    confidence: float
    caption: str
    excerpts: tuple[Excerpt, ...]


class Level(NamedTuple):
    """A unit in which predictions are counted.

    Attributes:
        name: Such as `entities` or `tokens`.
        counts: Predictions by label.
        accuracy: Correct predictions whatever their label; None where that has no meaning.
        accuracy_name: What is correct then, such as `Texts with the correct class`.
    """

    name: str
    counts: Counts
    accuracy: Counts | None = None
    accuracy_name: str = ""


class NumberPairs(NamedTuple):
    """The gold and predicted values of a number, of the documents that have a gold value.

    Attributes:
        name: Name of the number.
        gold: `(B,)` gold values.
        predicted: `(B,)` predicted values.
    """

    name: str
    gold: NDArray[np.float64]
    predicted: NDArray[np.float64]


_NO_PREDICTIONS: Judged = (np.zeros(0), np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class ComponentResult:
    """What is measured of one component.

    Attributes:
        component: Its name.
        factory: Its factory, such as `bert_ner`.
        kind: What it predicts.
        levels: Predictions as they are counted, the most important level first.
        numbers: Of numbers, gold and predicted values; they have no levels.
        confusion: The confusion matrix; None for labels that do not exclude each other.
        error_types: Of entities, counts of error types by label; of a spurious entity by its predicted label.
        judged: Probabilities of its predictions, and whether their labels hold; empty where it gives no probabilities.
        errors: The most confident errors, of numbers the largest, at most one of each document.
        notes: What to know when reading the figures.
        scores: Scores under the names of spaCy that replace those of the component's own scorer.
    """

    component: str
    factory: str
    kind: Kind
    levels: tuple[Level, ...]
    numbers: tuple[NumberPairs, ...] = ()
    confusion: ConfusionMatrix | None = None
    error_types: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    judged: Judged = _NO_PREDICTIONS
    errors: tuple[PredictionError, ...] = ()
    notes: tuple[str, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_gold(self) -> bool:
        """Whether the annotation of any document says anything."""
        return any(level.counts.is_known.any() for level in self.levels[:1]) or any(len(n.gold) for n in self.numbers)

    @property
    def reliability(self) -> Reliability | None:
        """How far its probabilities can be trusted; None where there are none."""
        return measure_reliability(*self.judged) if len(self.judged[0]) else None


def cut_excerpt(caption: str, text: str, marks: tuple[Mark, ...], char_start: int, char_end: int) -> Excerpt:
    """Cut a text around a range of characters, so that no mark is cut through.

    Args:
        caption: What the excerpt shows.
        text: The whole text.
        marks: What is marked in it.
        char_start: Start of the range.
        char_end: End of the range.
    """
    context = max(0, _MAX_EXCERPT - (char_end - char_start)) // 2
    start, end = max(0, char_start - context), min(len(text), char_end + context)
    for mark in marks:
        if mark.char_start < start < mark.char_end:
            start = mark.char_start
        if mark.char_start < end < mark.char_end:
            end = mark.char_end
    before, after = "… " * (start > 0), " …" * (end < len(text))
    shift = len(before) - start
    kept = tuple(
        mark._replace(char_start=mark.char_start + shift, char_end=mark.char_end + shift)
        for mark in marks
        if start <= mark.char_start and mark.char_end <= end
    )
    return Excerpt(caption, f"{before}{text[start:end]}{after}", kept)


def list_errors(
    example: Example,
    predictions: Iterable[Prediction],
    weigh: Callable[[Prediction], float] = lambda prediction: prediction.confidence or 0.0,
) -> list[PredictionError]:
    """List the incorrect ones of the predictions for a document.

    Args:
        example: The document.
        predictions: What was predicted.
        weigh: Says how bad an error is, by default how sure the component was.
    """
    errors = []
    for each in predictions:
        if not each.is_correct:
            span = each.find_span(example.predicted)
            start, end = (span.start_char, span.end_char) if span else (0, 0)
            marks = (Mark(start, end, "predicted", ""),) if span else ()
            excerpt = cut_excerpt("text", example.predicted.text, marks, start, end)
            errors.append(PredictionError(weigh(each), format_caption(each, example.predicted), (excerpt,)))
    return errors


def choose_errors(errors_by_doc: Iterable[list[PredictionError]], n_errors: int) -> tuple[PredictionError, ...]:
    """Choose the most confident error of each document, and the most confident of these."""
    first = [max(errors, key=lambda error: error.confidence) for errors in errors_by_doc if errors]
    return tuple(sorted(first, key=lambda error: -error.confidence)[:n_errors])
