"""What a classification of texts costs, and the gradient of that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(scores: NDArray[np.floating]) -> Floats:
    """Turn scores of exclusive labels into probabilities, `(B, L)` → `(B, L)`."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf), dtype=np.float64)
    probs: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return probs


def sigmoid(scores: NDArray[np.floating]) -> Floats:
    """Turn scores of labels that may hold together into probabilities, `(B, L)` → `(B, L)`."""
    probs: Floats = np.exp(-np.logaddexp(0.0, -scores, dtype=np.float64))
    return probs


def softmax_loss(
    scores: NDArray[np.floating], targets: Floats, label_weights: Floats, label_smoothing: float
) -> tuple[float, Floats]:
    """Compute the cross-entropy of exclusive labels, as a mean over documents weighed by their label.

    Args:
        scores: `(B, L)` logits.
        targets: `(B, L)` gold probabilities that sum to 1; all 0 for a document whose label is not known, which
            counts for nothing.
        label_weights: `(L,)` weight of each label.
        label_smoothing: Share of the target that is spread over all labels.

    Returns:
        The loss and its gradient with respect to `scores`, `(B, L)`.

    Source: Szegedy et al. (2016), section 7; weights as in torch's `cross_entropy`.
    """
    is_known = targets.sum(axis=1, keepdims=True) > 0
    smoothed = is_known * (targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]) * label_weights
    total = (targets * label_weights).sum()
    if total <= 0:
        return 0.0, np.zeros(scores.shape)
    log_probs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True, dtype=np.float64)
    gradient = softmax(scores) * smoothed.sum(axis=1, keepdims=True) - smoothed
    return float(-(smoothed * log_probs).sum() / total), gradient / total


def sigmoid_loss(
    scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_], label_weights: Floats, smoothing: float
) -> tuple[float, Floats]:
    """Compute the binary cross-entropy of labels that may hold together, as a mean over all that are known.

    Args:
        scores: `(B, L)` logits.
        targets: `(B, L)` gold probabilities, each from 0 to 1.
        is_known: `(B, L)` which of them are known; the others count for nothing.
        label_weights: `(L,)` weight of each label where it holds, against 1 where it does not.
        smoothing: Share of each target that is moved to one half.

    Returns:
        The loss and its gradient with respect to `scores`, `(B, L)`.

    Source: weights as in torch's `binary_cross_entropy_with_logits`.
    """
    n_known = max(1, int(is_known.sum()))
    smoothed = targets * (1 - smoothing) + smoothing / 2
    positive, negative = is_known * smoothed * label_weights, is_known * (1 - smoothed)
    loss = positive * np.logaddexp(0, -scores, dtype=np.float64) + negative * np.logaddexp(0, scores, dtype=np.float64)
    gradient = (positive + negative) * sigmoid(scores) - positive
    return float(loss.sum() / n_known), gradient / n_known
