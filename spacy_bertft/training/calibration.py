"""Calibration: are predictions with a probability of 80 % correct in 80 of 100 cases? And temperature scaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_BINS = 10
_LOWEST, _HIGHEST = 0.1, 10.0  # temperatures
_N_GRID, _N_REFINED = 25, 30
_GOLDEN = (np.sqrt(5) - 1) / 2
# No single prediction may cost more than one that was held to be impossible up to this.
_LEAST_PROB = 1e-9


@dataclass(frozen=True)
class CalibrationData:
    """Predictions for documents with gold annotation, at any temperature.

    Attributes:
        compute_probs: From a temperature to the probability of each prediction, `(n,)`.
        is_correct: `(n,)` whether each is correct.
        n_gold: How many entities, categories or answers the gold annotation has.
        compute_no_answer: Of questions, from a temperature to the probability that each has no answer, `(n,)`.
        f1_by_choice: `(n, 2)` of questions, the F1 of the most likely answer, and of giving none.
        has_answer: `(n,)` of questions, whether the gold annotation has an answer.
    """

    compute_probs: Callable[[float], Floats]
    is_correct: NDArray[np.bool_]
    n_gold: int
    compute_no_answer: Callable[[float], Floats] = lambda _: np.zeros(0)
    f1_by_choice: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    has_answer: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))


def join_calibration_data(parts: Sequence[CalibrationData]) -> CalibrationData:
    """Concatenate the predictions of several batches."""
    empty = np.zeros(0)
    return CalibrationData(
        compute_probs=lambda temperature: np.concatenate([empty, *(part.compute_probs(temperature) for part in parts)]),
        is_correct=np.concatenate([empty.astype(np.bool_), *(part.is_correct for part in parts)]),
        n_gold=sum(part.n_gold for part in parts),
        compute_no_answer=lambda temperature: np.concatenate(
            [empty, *(p.compute_no_answer(temperature) for p in parts)]
        ),
        f1_by_choice=np.concatenate([np.zeros((0, 2)), *(part.f1_by_choice for part in parts)]),
        has_answer=np.concatenate([empty.astype(np.bool_), *(part.has_answer for part in parts)]),
    )


def fit_no_answer_threshold(data: CalibrationData, temperature: float) -> float | None:
    """Fit the probability of no answer from which on none is given, so that the mean F1 is highest.

    Args:
        data: Of questions that the model was not trained on.
        temperature: By which scores are divided.

    Returns:
        The threshold, between the probabilities of two questions; None where all have an answer, or none has.

    Source: `find_best_thresh` of the official evaluation script of SQuAD 2.0.
    """
    if not data.has_answer.any() or data.has_answer.all():
        return None
    probs = data.compute_no_answer(temperature)
    order = np.argsort(probs)
    probs, (answered, empty) = probs[order], data.f1_by_choice[order].T
    # The first k questions are answered, the others not; where probabilities are equal, that cannot be.
    total = np.append(0, np.cumsum(answered)) + np.append(np.cumsum(empty[::-1])[::-1], 0)
    edges = np.concatenate([[0.0], (probs[1:] + probs[:-1]) / 2, [1.0]])
    is_possible = np.concatenate([[True], np.diff(probs) > 0, [True]])
    return float(edges[np.where(is_possible, total, -1).argmax()])


def may_fit(data: CalibrationData) -> bool:
    """Tell whether a temperature can be fitted: only where some predictions are correct and some are not."""
    return bool(data.is_correct.any() and not data.is_correct.all())


def fit_temperature(data: CalibrationData) -> float:
    """Fit the temperature under which the verdicts on predictions are most likely.

    All scores of a model are divided by it: above 1 it makes every prediction less sure, below 1 more so. Which
    is best does not change. Where predictions are few, the temperature stays nearer to 1: its logarithm is held to be
    normal, with mean 0 and variance 1.

    Args:
        data: Of documents that the model was not trained on.

    Returns:
        The most likely temperature from 0.1 to 10; 1 where `may_fit` says no.

    Source: Guo et al. (2017), section 4.2, with a prediction, here a whole entity, as the event.
    """
    if not may_fit(data):
        return 1.0

    def cost(log_temperature: float) -> float:
        loss = log_loss(data.compute_probs(float(np.exp(log_temperature))), data.is_correct)
        return loss + log_temperature**2 / (2 * len(data.is_correct))

    grid = np.linspace(np.log(_LOWEST), np.log(_HIGHEST), _N_GRID)
    best = int(np.argmin([cost(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _N_GRID - 1)]
    return float(np.exp(_find_minimum(cost, low, high)))


def _find_minimum(cost: Callable[[float], float], low: float, high: float) -> float:
    """Find the lowest point of a function between two points by golden sections (Kiefer 1953)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    for _ in range(_N_REFINED):
        if cost_left < cost_right:
            high, right, cost_right = right, left, cost_left
            left = high - _GOLDEN * (high - low)
            cost_left = cost(left)
        else:
            low, left, cost_left = left, right, cost_right
            right = low + _GOLDEN * (high - low)
            cost_right = cost(right)
    return (low + high) / 2


def log_loss(probs: Floats, is_correct: NDArray[np.bool_]) -> float:
    """Compute the mean binary log loss of predictions, in nats.

    Args:
        probs: `(n,)` their probabilities; `n` is not 0.
        is_correct: `(n,)` whether each is correct.

    Example:
        >>> round(log_loss(np.array([0.5, 0.5]), np.array([True, False])), 3)
        0.693
    """
    of_truth = np.where(is_correct, probs, 1 - probs)
    return float(-np.log(np.maximum(of_truth, _LEAST_PROB)).mean())


@dataclass(frozen=True, eq=False)
class Reliability:
    """CalibrationData, put into bins of equal width by their probability.

    Attributes:
        counts: `(N_BINS,)` predictions in each bin.
        confidence: `(N_BINS,)` mean probability of its predictions; not a number where there are none.
        accuracy: `(N_BINS,)` share of them that is correct; not a number where there are none.
        variance: `(N_BINS,)` of the number of correct ones, if each is correct with its probability.
    """

    counts: NDArray[np.intp]
    confidence: Floats
    accuracy: Floats
    variance: Floats

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, from 0 to 1: how far confidence and accuracy are apart, over all predictions.

        Source: Naeini, Cooper & Hauskrecht (2015), eq. 3; Guo et al. (2017), eq. 3.
        """
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.counts) / max(1, self.counts.sum()))

    @property
    def chance_error(self) -> float:
        """What that error would be, on average, if all probabilities were exact.

        It is not 0: of ten predictions with 75 % each, never seven and a half are correct. The number of correct ones
        of a bin is held to be normal, whose mean absolute deviation is √(2/π) standard deviations.
        """
        return float(np.sqrt(2 / np.pi * self.variance).sum() / max(1, self.counts.sum()))


def measure_reliability(probs: Floats, is_correct: NDArray[np.bool_]) -> Reliability:
    """Put predictions into bins.

    Args:
        probs: `(n,)` their probabilities.
        is_correct: `(n,)` whether each is correct.

    Example:
        >>> reliability = measure_reliability(np.array([0.95, 0.95, 0.65]), np.array([True, False, True]))
        >>> round(reliability.calibration_error, 3)
        0.417
    """
    bins = np.minimum((probs * N_BINS).astype(np.intp), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, probs, minlength=N_BINS) / counts
        accuracy = np.bincount(bins, is_correct, minlength=N_BINS) / counts
    variance = np.bincount(bins, probs * (1 - probs), minlength=N_BINS).astype(np.float64)
    return Reliability(counts, confidence, accuracy, variance)
