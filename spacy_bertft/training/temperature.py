"""One number that makes confidences honest, fitted on answers of which it is known whether they are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probs = NDArray[np.float64]

_LOWEST, _HIGHEST = 0.1, 10.0
_N_GRID, _N_REFINED = 25, 30
_GOLDEN = (np.sqrt(5) - 1) / 2
# No single answer may cost more than one that was held to be impossible up to this.
_LEAST_PROB = 1e-9


@dataclass(frozen=True)
class Answers:
    """What a component has answered to documents with gold annotation.

    Attributes:
        find_probs: From a temperature to the probability of each answer, `(n,)`.
        is_right: `(n,)` whether each answer is right.
        n_gold: How many answers the gold annotation holds.
    """

    find_probs: Callable[[float], Probs]
    is_right: NDArray[np.bool_]
    n_gold: int


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Put the answers of several batches together."""
    empty = np.zeros(0)
    return Answers(
        find_probs=lambda temperature: np.concatenate([empty, *(part.find_probs(temperature) for part in parts)]),
        is_right=np.concatenate([empty.astype(np.bool_), *(part.is_right for part in parts)]),
        n_gold=sum(part.n_gold for part in parts),
    )


def may_fit(answers: Answers) -> bool:
    """Tell whether a temperature can be fitted: only where some answers are right and some are wrong."""
    return bool(answers.is_right.any() and not answers.is_right.all())


def fit_temperature(answers: Answers) -> float:
    """Find the temperature that makes the probabilities of answers most likely.

    All scores of a model are divided by it: above 1 it makes every answer less sure, below 1 more so. Which answer is
    best does not change. Where answers are few, the temperature stays nearer to 1: its logarithm is held to be normal,
    with mean 0 and variance 1.

    Args:
        answers: Of documents that the model was not trained on.

    Returns:
        The most likely temperature from 0.1 to 10; 1 where `may_fit` says no.

    Source: Guo et al. (2017), section 4.2, with an answer, here a whole entity, as the event. Search: Kiefer (1953).
    """
    if not may_fit(answers):
        return 1.0

    def cost(log_temperature: float) -> float:
        loss = log_loss(answers.find_probs(float(np.exp(log_temperature))), answers.is_right)
        return loss + log_temperature**2 / (2 * len(answers.is_right))

    grid = np.linspace(np.log(_LOWEST), np.log(_HIGHEST), _N_GRID)
    best = int(np.argmin([cost(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _N_GRID - 1)]
    return float(np.exp(_search(cost, low, high)))


def log_loss(probs: Probs, is_right: NDArray[np.bool_]) -> float:
    """Compute the mean binary log loss of answers, in nats.

    Args:
        probs: `(n,)` their probabilities; `n` is not 0.
        is_right: `(n,)` whether each is right.

    Example:
        >>> round(log_loss(np.array([0.5, 0.5]), np.array([True, False])), 3)
        0.693
    """
    of_truth = np.where(is_right, probs, 1 - probs)
    return float(-np.log(np.maximum(of_truth, _LEAST_PROB)).mean())


def _search(cost: Callable[[float], float], low: float, high: float) -> float:
    """Find the lowest point of a function between two points by golden sections."""
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
