"""How far two passes of the same tokens through a model with dropout are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.log_space import Floats, log_sum


def consistency_loss(first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[float, Floats, Floats]:
    """Compute the mean of both Kullback-Leibler divergences between two passes, token by token.

    Args:
        first: `(T, L)` tag scores of one pass.
        second: `(T, L)` those of the other, which had other dropout.

    Returns:
        The loss summed over the tokens, in nats, and its gradients with respect to both scores, `(T, L)` each.

    Source: Liang et al. (2021), R-Drop, eq. 2.

    Example:
        >>> loss, _, _ = consistency_loss(np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]]))
        >>> round(loss, 3)
        0.208
    """
    if not first.size:
        return 0.0, np.zeros(first.shape), np.zeros(second.shape)
    first_log, second_log = _log_probs(first), _log_probs(second)
    first_probs, second_probs = np.exp(first_log), np.exp(second_log)
    gap = first_log - second_log
    loss = float(((first_probs - second_probs) * gap).sum() / 2)
    return loss, _find_gradient(first_probs, second_probs, gap), _find_gradient(second_probs, first_probs, -gap)


def _log_probs(scores: NDArray[np.floating]) -> Floats:
    wide: Floats = np.asarray(scores, dtype=np.float64)
    return wide - log_sum(wide)[:, None]


def _find_gradient(own: Floats, other: Floats, gap: Floats) -> Floats:
    """Return the gradient with respect to the scores of `own`; `gap` is how far its log-probabilities are above."""
    mean_gap = (own * gap).sum(axis=1, keepdims=True)
    gradient: Floats = (own * (gap - mean_gap) + own - other) / 2
    return gradient
