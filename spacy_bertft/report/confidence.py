"""The probabilities that stand on evaluated documents, and whether what they were given to is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example

from ..components.calibration import CalibratedComponent, find_calibrated
from ..components.gold import judge_group, list_gold_labels, read_gold_entities
from ..components.ner import BertNer
from ..components.text_component import TextComponent
from .reliability import measure_reliability

Judged = list[tuple[float, bool]]


def measure_calibration_errors(nlp: Language, examples: Sequence[Example]) -> dict[str, float]:
    """Measure the expected calibration error of every component of ours that gives probabilities, by name.

    Args:
        nlp: The pipeline that has annotated the examples.
        examples: With predictions and gold annotation.
    """
    errors = {}
    for name, pipe in find_calibrated(nlp).items():
        probs, is_right = judge(name, pipe, examples)
        if len(probs):
            errors[name] = measure_reliability(probs, is_right).calibration_error
    return errors


def judge(
    name: str, pipe: CalibratedComponent, examples: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Collect the probabilities of the answers of a component, and whether each is right.

    Args:
        name: Its name.
        pipe: The component.
        examples: With its predictions and gold annotation.

    Returns:
        `(n,)` probabilities and `(n,)` verdicts, of answers of which the annotation says something.
    """
    judged = _judge_entities(name, examples) if isinstance(pipe, BertNer) else _judge_cats(pipe, examples)
    return np.array([prob for prob, _ in judged]), np.array([is_right for _, is_right in judged], dtype=np.bool_)


def _judge_entities(name: str, examples: Iterable[Example]) -> Judged:
    return [
        (prob, is_right)
        for example in examples
        for _, prob, is_right in judge_group(example.predicted.spans[name], read_gold_entities(example))
    ]


def _judge_cats(pipe: TextComponent, examples: Iterable[Example]) -> Judged:
    judged = []
    for example in examples:
        gold, predicted = example.reference.cats, example.predicted.cats
        known = [label for label in pipe.labels if label in gold]
        if pipe.exclusive and known:
            known = [max(pipe.labels, key=predicted.__getitem__)]
        held = list_gold_labels(gold, pipe.labels, exclusive=pipe.exclusive)
        judged += [(predicted[label], label in held) for label in known]
    return judged
