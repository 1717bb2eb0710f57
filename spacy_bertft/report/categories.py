"""How good a component is at categories: what spaCy's scores leave out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.training import Example

from ..components.gold import list_gold_labels
from ..errors import DataError
from .category_pipes import CategoryPipe
from .confusion import Confusion, count_confusions


@dataclass(frozen=True, eq=False)
class Categories:
    """How good one component is at categories.

    Attributes:
        pipe: The component.
        scores: Its scores as spaCy gives them, shares between 0 and 1.
        accuracy: The share of documents whose class is right or, where labels do not exclude each other, of which all
            labels with a gold value are right; None where no document has one.
        support: Documents by gold label. Labels that no component of the pipeline knows come last.
        n_unknown: Documents without a gold label of this component, which `accuracy` and `confusion` leave out.
        confusion: Which class was taken for which; None where labels do not exclude each other.
    """

    pipe: CategoryPipe
    scores: Mapping[str, Any]
    accuracy: float | None
    support: Mapping[str, int]
    n_unknown: int
    confusion: Confusion | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what spaCy's scores do not hold, under names like theirs."""
        return {
            "cats_accuracy": self.accuracy,
            "cats_confusion": None if self.confusion is None else self.confusion.to_json(),
            "cats_support": dict(self.support),
        }


def measure_categories(
    pipe: CategoryPipe, scores: Mapping[str, Any], examples: Iterable[Example], strange: Sequence[str] = ()
) -> Categories:
    """Measure what spaCy does not: accuracy, support and, for exclusive classes, the confusion matrix.

    Args:
        pipe: The component.
        scores: Its scores as spaCy gives them.
        examples: With predictions.
        strange: Gold labels that no component knows. A document of such a class was classified wrongly; of labels that
            do not exclude each other, an unknown one says nothing about the others.

    Raises:
        DataError: The component has predicted no class for a document that has one.
    """
    measure = _measure_exclusive if pipe.is_exclusive else _measure_multilabel
    return measure(pipe, scores, examples, strange)


def _measure_exclusive(
    pipe: CategoryPipe, scores: Mapping[str, Any], examples: Iterable[Example], strange: Sequence[str]
) -> Categories:
    pairs = pair_classes(pipe, examples, strange)
    confusion = count_confusions([*pipe.labels, *strange], [pair for pair in pairs if pair])
    return Categories(pipe, scores, confusion.accuracy, confusion.support, pairs.count(None), confusion)


def pair_classes(
    pipe: CategoryPipe, examples: Iterable[Example], strange: Sequence[str]
) -> list[tuple[str, str] | None]:
    """Pair the gold class of each document with the predicted one; nothing where there is no gold class.

    Args:
        pipe: A component whose labels exclude each other.
        examples: With predictions.
        strange: Gold labels that no component knows.

    Raises:
        DataError: The component has predicted no class for a document that has one.
    """
    pairs: list[tuple[str, str] | None] = []
    for example in examples:
        gold = _find_class(example.reference.cats, pipe.labels) or _find_class(example.reference.cats, strange)
        predicted = _find_class(example.predicted.cats, pipe.labels)
        if gold is not None and predicted is None:
            raise DataError(f"{example.text!r} has no category from {pipe.name}. Expected one, as from other texts.")
        pairs.append((gold, predicted) if gold is not None and predicted is not None else None)
    return pairs


def compare_labels(pipe: CategoryPipe, example: Example) -> dict[str, tuple[bool, bool]] | None:
    """Tell of each label whether it holds and whether it is predicted to; nothing where no label has a gold value.

    A label without a gold value is unknown, not absent.

    Args:
        pipe: A component whose labels may hold together.
        example: With predictions.
    """
    gold, predicted = example.reference.cats, example.predicted.cats
    known = [label for label in pipe.labels if label in gold]
    held = list_gold_labels(gold, known, exclusive=False)
    return {label: (label in held, predicted.get(label, 0.0) >= pipe.threshold) for label in known} or None


def _find_class(cats: Mapping[str, float], labels: Collection[str]) -> str | None:
    return next(iter(list_gold_labels(cats, labels, exclusive=True)), None)


def _measure_multilabel(
    pipe: CategoryPipe, scores: Mapping[str, Any], examples: Iterable[Example], strange: Sequence[str]
) -> Categories:
    support = dict.fromkeys([*pipe.labels, *strange], 0)
    is_right = []
    n_unknown = 0
    for example in examples:
        for label in list_gold_labels(example.reference.cats, support, exclusive=False):
            support[label] += 1
        if compared := compare_labels(pipe, example):
            is_right.append(all(holds == is_predicted for holds, is_predicted in compared.values()))
        else:
            n_unknown += 1
    accuracy = sum(is_right) / len(is_right) if is_right else None
    return Categories(pipe, scores, accuracy, support, n_unknown)
