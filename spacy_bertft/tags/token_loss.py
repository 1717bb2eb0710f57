"""The cross-entropy of each token by itself, beside the loss of the whole chain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.log_space import Floats, log_sum


def token_loss(
    scores: NDArray[np.floating], allowed: NDArray[np.bool_], label_smoothing: float = 0.0
) -> tuple[float, Floats]:
    """Compute the cross-entropy of the gold tags, token by token, and its gradient.

    Args:
        scores: `(T, L)` tag scores.
        allowed: `(T, L)` the tags that the gold annotation allows; a token that allows more than one is left out.
        label_smoothing: Share of the target, from 0 to 1, that is spread evenly over all tags.

    Returns:
        The loss summed over the tokens, in nats, and its gradient `(T, L)`.

    Source: Szegedy et al. (2016), section 7, for the smoothing.

    Example:
        >>> loss, gradient = token_loss(np.zeros((1, 2)), np.array([[True, False]]))
        >>> round(loss, 3), gradient.tolist()
        (0.693, [[-0.5, 0.5]])
    """
    is_known = allowed.sum(axis=1, keepdims=True) == 1
    targets = np.where(is_known, (1 - label_smoothing) * allowed + label_smoothing / max(1, scores.shape[1]), 0.0)
    if not scores.size:
        return 0.0, targets
    log_probs = scores - log_sum(np.asarray(scores, dtype=np.float64))[:, None]
    return -float((targets * log_probs).sum()), np.where(is_known, np.exp(log_probs) - targets, 0.0)
