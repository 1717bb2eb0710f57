"""Windows over texts longer than the model, and buckets of windows that fit one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tokens.batch import Ints

# Then no piece is answered with less than 32 on either side, in windows of 256 and more.
_MOST_SHARED = 64


@dataclass(frozen=True)
class Windows:
    """Overlapping stretches of pieces that cover every text.

    Every text has at least one window, be it empty, and every piece is owned by exactly one window: the one in which
    it stands furthest from an edge.

    Attributes:
        sequence: `(W,)` the text of each window.
        piece_start: `(W,)` its first piece, as a flat index.
        piece_end: `(W,)` one past its last piece.
        owned_start: `(W,)` the first piece that it owns; it owns up to where the next window's own pieces start.
    """

    sequence: Ints
    piece_start: Ints
    piece_end: Ints
    owned_start: Ints

    def find_owners(self, pieces: Ints) -> Ints:
        """Return the window that owns each of the given pieces."""
        return np.searchsorted(self.owned_start, pieces, side="right") - 1


def choose_stride(size: int) -> int:
    """Choose how many pieces to go from one window to the next, so that two of them share a quarter, but 64 at most.

    Args:
        size: Pieces that a window holds at most, special pieces left out.

    Example:
        >>> choose_stride(510), choose_stride(62)
        (446, 47)
    """
    return size - min(size // 4, _MOST_SHARED)


def plan_windows(lengths: Ints, size: int, stride: int) -> Windows:
    """Lay windows over the texts of a batch.

    Args:
        lengths: `(B,)` pieces per text.
        size: Pieces that a window holds at most, special pieces left out.
        stride: Pieces from the start of one window to the start of the next. The last window of a text starts earlier
            where that lets it be full.

    Example:
        >>> plan = plan_windows(np.array([5, 0]), size=4, stride=2)
        >>> plan.piece_start.tolist(), plan.piece_end.tolist(), plan.owned_start.tolist()
        ([0, 1, 5], [4, 5, 5], [0, 3, 5])
    """
    n_windows = 1 + np.maximum(0, -(-(lengths - size) // stride))
    sequence = np.repeat(np.arange(len(lengths)), n_windows)
    rank = np.arange(n_windows.sum()) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    text_start = (np.cumsum(lengths) - lengths)[sequence]
    text_end = np.cumsum(lengths)[sequence]
    piece_start = np.minimum(text_start + rank * stride, np.maximum(text_start, text_end - size))
    piece_end = np.minimum(piece_start + size, text_end)
    owned_start = piece_start.copy()
    overlaps = rank[1:] > 0
    # Two neighbours share their overlap at its middle: there the distance to both edges is the same.
    middle = (piece_start[1:] + piece_end[:-1] + 1) // 2
    owned_start[1:] = np.where(overlaps, middle, owned_start[1:])
    return Windows(sequence, piece_start, piece_end, owned_start)


def cut_buckets(lengths: NDArray[np.integer], max_pieces: int) -> list[Ints]:
    """Group sequences of similar length so that each group, padded, stays within a limit.

    Args:
        lengths: `(W,)` length of each sequence.
        max_pieces: Limit of rows times longest row. A sequence longer than that makes a group of its own.

    Returns:
        Indices into `lengths`, shortest group first; every index stands in exactly one group.

    Example:
        >>> [bucket.tolist() for bucket in cut_buckets(np.array([9, 2, 8, 3]), max_pieces=18)]
        [[1, 3], [2, 0]]
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order].tolist()
    buckets, first = [], 0
    for index, length in enumerate(ordered):
        if index > first and (index + 1 - first) * length > max_pieces:
            buckets.append(order[first:index])
            first = index
    if len(order):
        buckets.append(order[first:])
    return buckets
