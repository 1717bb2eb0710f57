"""How probable a path of tags is, among all that the chain allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError
from spacy_bertft.tags.chain import Floats, LinearChain, run_forward_backward


def path_log_probs(
    path: NDArray[np.integer], scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain
) -> Floats:
    """Compute the log-probability of one path of every sequence of a batch.

    Args:
        path: `(T,)` the tag of each token, sequence after sequence, as `best_paths` gives it.
        scores: `(T, L)` tag scores of all tokens.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Returns:
        `(B,)` in nats, at most 0; minus infinity for a path that the chain forbids, 0 for an empty sequence.

    Raises:
        ShapeError: The arrays do not fit each other.

    Source: Lafferty, McCallum & Pereira (2001), eq. 1.

    Example:
        >>> chain = LinearChain(np.zeros(2), np.zeros((2, 2)), np.zeros(2))
        >>> np.exp(path_log_probs(np.array([0, 1, 1]), np.zeros((3, 2)), np.array([2, 1]), chain)).round(3).tolist()
        [0.25, 0.5]
    """
    if path.shape != scores.shape[:1]:
        raise ShapeError("path", path.shape, f"({len(scores)},): a tag for each token")
    log_partition = run_forward_backward(scores, lengths, chain).log_partition
    # What is no more than rounding must not make a path likelier than certain.
    log_probs: Floats = np.minimum(_score_paths(path, scores, lengths, chain) - log_partition, 0.0)
    return log_probs


def _score_paths(
    path: NDArray[np.integer], scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain
) -> Floats:
    """Add up what each path earns, `(B,)`."""
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    earned = scores[np.arange(len(path)), path].astype(np.float64)
    is_first = np.diff(sequence, prepend=-1) > 0
    is_last = np.diff(sequence, append=len(lengths)) > 0
    steps = np.flatnonzero(~is_first)
    earned[steps] += chain.transitions[path[steps - 1], path[steps]]
    earned[is_first] += chain.start[path[is_first]]
    earned[is_last] += chain.end[path[is_last]]
    return np.bincount(sequence, earned, minlength=len(lengths)).astype(np.float64)
