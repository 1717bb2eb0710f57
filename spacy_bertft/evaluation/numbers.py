"""How good the numbers of a component are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from spacy.training import Example

from spacy_bertft.components.number_scores import collect_numbers, measure_numbers, score_numbers
from spacy_bertft.components.predictions import Prediction
from spacy_bertft.components.regressor import BertRegressor
from spacy_bertft.evaluation.bootstrap import Floats, Resampling, compute_interval
from spacy_bertft.evaluation.counts import Difference, measure_difference
from spacy_bertft.evaluation.results import ComponentResult, NumberPairs, choose_errors, list_errors


def measure_regressor(
    name: str, factory: str, pipe: BertRegressor, examples: Sequence[Example], n_errors: int = 0
) -> ComponentResult:
    """Measure the numbers that a component has predicted, whatever scorer it has.

    Args:
        name: Its name.
        factory: Its factory.
        pipe: The component.
        examples: Annotated by the pipeline.
        n_errors: How many errors to show: the largest ones, in standard deviations of the gold values.

    Raises:
        DataError: A text has a gold value and no predicted one.
    """
    numbers = tuple(NumberPairs(label, *pair) for label, pair in collect_numbers(examples, pipe.labels).items())
    deviations = {each.name: (float(each.gold.std()) if len(each.gold) else 0.0) or 1.0 for each in numbers}

    def weigh(prediction: Prediction) -> float:
        return abs(prediction.error or 0.0) / deviations[prediction.label]

    wrong = ([each for each in pipe.list_predictions(example) if each.error] for example in examples)
    return ComponentResult(
        component=name,
        factory=factory,
        kind="numbers",
        levels=(),
        numbers=numbers,
        errors=choose_errors(map(partial(list_errors, weigh=weigh), examples, wrong), n_errors),
        scores=score_numbers(examples, labels=pipe.labels),
    )


@dataclass(frozen=True, eq=False)
class NumberFigures:
    """How good a number is.

    Attributes:
        name: Its name.
        scores: What `measure_numbers` says of it.
        interval: `(2,)` the 95 % interval of Pearson's correlation.
        samples: `(R,)` Pearson's correlation in each resample.
    """

    name: str
    scores: Mapping[str, float | None]
    interval: Floats
    samples: Floats


def measure_number(pairs: NumberPairs, resampling: Resampling) -> NumberFigures:
    """Measure one number, and how far its correlation would move with other documents.

    Args:
        pairs: Gold and predicted values.
        resampling: Which documents are drawn.
    """
    x, y = (_standardize(each) for each in (pairs.gold, pairs.predicted))
    # Sums over the documents of each resample, (R, 6).
    n, sx, sy, sxx, syy, sxy = resampling.sum(np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)).T
    variances = np.maximum(np.stack([n * sxx - sx**2, n * syy - sy**2]), 0.0)
    gold_varies, varies = variances > 1e-9 * n**2  # less is rounding
    samples = (n * sxy - sx * sy) / np.sqrt(np.where(gold_varies & varies, variances.prod(axis=0), 1.0))
    samples = np.where(gold_varies, np.where(varies, samples.clip(-1, 1), 0.0), np.nan)
    scores = measure_numbers(pairs.gold, pairs.predicted)
    return NumberFigures(pairs.name, scores, compute_interval(samples), samples)


def compare_numbers(
    first: Sequence[NumberPairs], second: Sequence[NumberPairs], resampling: Resampling
) -> list[Difference]:
    """Compare Pearson's correlation of two pipelines on the same documents, for each number that both predict.

    Args:
        first: The numbers of one.
        second: Those of the other, for the same documents.
        resampling: Which documents are drawn.

    Source: the paired bootstrap of Koehn (2004), section 3.3.
    """
    others = {each.name: each for each in second}
    found = []
    for pairs in first:
        if pairs.name in others:
            one, other = (measure_number(each, resampling) for each in (pairs, others[pairs.name]))
            left, right = np.array([each.scores["pearson"] for each in (one, other)], dtype=np.float64).tolist()
            found.append(measure_difference(pairs.name, (left, right), one.samples - other.samples))
    return found


def _standardize(values: Floats) -> Floats:
    """Shift and scale values, `(B,)`, so that the sums of their squares lose no digits."""
    return (values - values.mean()) / (values.std() or 1.0) if len(values) else values
