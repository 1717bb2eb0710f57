"""Which of the uncertain texts to pick, so that they do not say the same thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pick_diverse(
    uncertainty: NDArray[np.floating], vectors: NDArray[np.floating], n_picked: int, diversity: float
) -> NDArray[np.intp]:
    """Pick texts one after the other, each far from those before, and uncertain.

    The first is the most uncertain one; then always the one with the largest `u^(1 − diversity) · d^diversity`, where
    `u` is its rank by uncertainty, from 1 down to `1/C`, and `d` its distance to the nearest that is picked. A copy of
    one that is picked is therefore the last choice.

    Args:
        uncertainty: `(C,)` of the candidates, larger is more uncertain.
        vectors: `(C, H)` vectors of the texts; only directions count.
        n_picked: How many to pick; all of them where there are fewer.
        diversity: From 0, where only uncertainty counts, to 1, where only distance does.

    Returns:
        `(min(n_picked, C),)` candidates, in the order in which they were picked. Among equals the more uncertain one
        comes first, then the first one.

    Source: farthest-first traversal, the greedy k-center of Sener & Savarese (2018), algorithm 1; weighed here.
    """
    order = np.argsort(-uncertainty, kind="stable")
    units = _scale_to_length_one(vectors[order])
    weights = np.arange(len(order), 0, -1) / max(1, len(order))
    nearest = np.ones(len(order))
    is_left = np.ones(len(order), dtype=np.bool_)
    picked: list[int] = []
    while len(picked) < min(n_picked, len(order)):
        worth = weights ** (1 - diversity) * nearest**diversity
        best = int(np.where(is_left, worth, -1.0).argmax())
        picked.append(best)
        is_left[best] = False
        # Half the distance of two unit vectors is at most 1, which is what the first pick is given.
        nearest = np.minimum(nearest, np.linalg.norm(units - units[best], axis=1) / 2)
    return order[picked]


def _scale_to_length_one(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float64] = vectors / np.where(lengths > 0, lengths, 1.0)
    return units
