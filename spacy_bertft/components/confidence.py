"""The probabilities that stand on evaluated documents, and whether what they were given to is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from spacy_bertft.components.category_scores import pair_classes
from spacy_bertft.components.gold import judge_group, list_gold_labels, read_gold_entities
from spacy_bertft.training.reliability import measure_reliability

# `(n,)` probabilities and `(n,)` verdicts, of predictions of which the annotation says something.
Judged = tuple[NDArray[np.float64], NDArray[np.bool_]]


def judge_entities(name: str, examples: Iterable[Example]) -> Judged:
    """Collect the probabilities of the entities that a component has found, and whether each is right.

    Args:
        name: Its name.
        examples: With its predictions and gold annotation.
    """
    return _stack(
        (prob, is_right)
        for example in examples
        if name in example.predicted.spans
        for _, prob, is_right in judge_group(example.predicted.spans[name], read_gold_entities(example))
    )


def judge_classes(labels: Sequence[str], examples: Iterable[Example]) -> Judged:
    """Collect the probabilities of the predicted classes, where labels exclude each other, and whether each is right.

    Args:
        labels: Those of the component.
        examples: With its predictions and gold annotation.
    """
    return _stack(
        (example.predicted.cats[pair[1]], pair[0] == pair[1])
        for example in examples
        if not example.predicted.cats.keys().isdisjoint(labels) and (pair := pair_classes(example, labels))
    )


def judge_labels(labels: Sequence[str], examples: Iterable[Example]) -> Judged:
    """Collect the probabilities of labels that may hold together and have a gold value, and whether each holds.

    Args:
        labels: Those of the component.
        examples: With its predictions and gold annotation.
    """
    judged = []
    for example in examples:
        gold, predicted = example.reference.cats, example.predicted.cats
        held = list_gold_labels(gold, labels, exclusive=False)
        judged += [(predicted[label], label in held) for label in labels if label in gold and label in predicted]
    return _stack(judged)


def measure_calibration_error(judged: Judged) -> float | None:
    """Measure the expected calibration error; None where nothing was judged."""
    probs, is_right = judged
    return measure_reliability(probs, is_right).calibration_error if len(probs) else None


def _stack(judged: Iterable[tuple[float, bool]]) -> Judged:
    rows = list(judged)
    return np.array([prob for prob, _ in rows]), np.array([is_right for _, is_right in rows], dtype=np.bool_)
