"""Windows over texts longer than the model: planned, grouped by length, and padded as the model wants them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tokens.alignment import Ints, PieceBatch
from spacy_bertft.tokens.tokenizer import PieceTokenizer

# So every piece has a context of at least 32 pieces on either side, in windows of 256 and more.
_MOST_SHARED = 64


@dataclass(frozen=True)
class Windows:
    """Overlapping ranges of pieces that cover every text.

    Every text has at least one window, be it empty, and every piece is owned by exactly one window: the one in which
    it is furthest from an edge.

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
    """Choose the stride between windows, so that neighbours share a quarter, but at most 64 pieces.

    Args:
        size: Pieces that a window holds at most, special pieces left out.

    Example:
        >>> choose_stride(510), choose_stride(62)
        (446, 47)
    """
    return size - min(size // 4, _MOST_SHARED)


def plan_windows(lengths: Ints, size: int | Ints, stride: int | Ints) -> Windows:
    """Plan windows over the texts of a batch.

    Args:
        lengths: `(B,)` pieces per text.
        size: Pieces that a window holds at most, special pieces left out; may be `(B,)`, as the stride.
        stride: Pieces from the start of one window to the start of the next. The last window of a text starts earlier
            where that lets it be full.

    Example:
        >>> plan = plan_windows(np.array([5, 0]), size=4, stride=2)
        >>> plan.piece_start.tolist(), plan.piece_end.tolist(), plan.owned_start.tolist()
        ([0, 1, 5], [4, 5, 5], [0, 3, 5])
    """
    n_windows = 1 + np.maximum(0, -(-(lengths - size) // stride))  # (B,), rounded up
    sequence = np.repeat(np.arange(len(lengths)), n_windows)  # (W,)
    size, stride = (np.broadcast_to(each, lengths.shape)[sequence] for each in (size, stride))
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


def cut_buckets(lengths: NDArray[np.integer], max_pieces: int, most_padding: int | None = None) -> list[Ints]:
    """Group sequences of similar length so that each group, padded, stays within a limit.

    Args:
        lengths: `(W,)` length of each sequence.
        max_pieces: Limit of rows times longest row; where padding has a limit of its own, of what is no padding. A
            sequence longer than that makes a group of its own.
        most_padding: Limit of the padding of a group, where there is one.

    Returns:
        Indices into `lengths`, shortest group first; every index is in exactly one group.

    Example:
        >>> [bucket.tolist() for bucket in cut_buckets(np.array([9, 2, 8, 3]), max_pieces=18)]
        [[1, 3], [2, 0]]
    """
    order = np.argsort(lengths, kind="stable")
    buckets, first, n_real = [], 0, 0
    for index, length in enumerate(lengths[order].tolist()):
        n_padded, n_real = (index + 1 - first) * length, n_real + length
        is_full = n_padded > max_pieces if most_padding is None else n_padded - n_real > most_padding
        if index > first and (is_full or n_real > max_pieces):
            buckets.append(order[first:index])
            first, n_real = index, length
    if len(order):
        buckets.append(order[first:])
    return buckets


@dataclass(frozen=True)
class PaddedWindows:
    """Some windows, padded to the longest of them.

    Attributes:
        ids: `(W, P)` piece ids.
        mask: `(W, P)` 1 for a piece, 0 for padding.
        types: `(W, P)` segment ids: those of the second text of a pair are the tokenizer's, all others 0.
    """

    ids: Ints
    mask: Ints
    types: Ints


@dataclass(frozen=True)
class WindowLayout:
    """Where the pieces of a batch are in its windows.

    A window over a single text is `[CLS] text [SEP]`, one over a pair `[CLS] first [SEP] second [SEP]`.

    Attributes:
        pieces: The pieces of a batch.
        windows: The windows over them.
        first_lengths: `(W,)` pieces of the first text of a pair, −1 for a single text.
        tokenizer: Knows the special pieces.
    """

    pieces: PieceBatch
    windows: Windows
    first_lengths: Ints
    tokenizer: PieceTokenizer

    @cached_property
    def lengths(self) -> Ints:
        """`(W,)` pieces of each window, special pieces included; at least 1, so that it can be run."""
        n_middle = np.where(self.first_lengths >= 0, len(self.tokenizer.middle_ids), 0)
        n_pieces = self.windows.piece_end - self.windows.piece_start
        lengths: Ints = np.maximum(n_pieces + n_middle + self.tokenizer.n_special, 1)
        return lengths

    def find_columns(self, piece: Ints, window: Ints) -> Ints:
        """Return the columns of pieces in their windows."""
        rank = piece - self.windows.piece_start[window]
        is_second = (self.first_lengths[window] >= 0) & (rank >= self.first_lengths[window])
        return len(self.tokenizer.prefix_ids) + rank + np.where(is_second, len(self.tokenizer.middle_ids), 0)

    def pad(self, bucket: Ints, pad_id: int, least: int = 1) -> PaddedWindows:
        """Pad the windows of a bucket to one length.

        Args:
            bucket: Indices of windows.
            pad_id: The id of padding.
            least: The least length that they are padded to.
        """
        tokenizer, lengths = self.tokenizer, self.lengths[bucket]
        width = max(least, int(lengths.max()))
        start, end = self.windows.piece_start[bucket], self.windows.piece_end[bucket]
        row = np.repeat(np.arange(len(bucket)), end - start)
        piece = np.arange(len(row)) - (np.cumsum(end - start) - (end - start))[row] + start[row]  # all of the bucket
        column = self.find_columns(piece, bucket[row])
        ids = np.full((len(bucket), width), pad_id, dtype=np.intp)  # (W, P)
        types = np.zeros_like(ids)
        ids[row, column] = self.pieces.ids[piece]
        ids[:, : len(tokenizer.prefix_ids)] = tokenizer.prefix_ids
        rows = np.arange(len(bucket))[:, None]
        n_suffix = len(tokenizer.suffix_ids)
        ids[rows, lengths[:, None] - n_suffix + np.arange(n_suffix)] = tokenizer.suffix_ids
        mask = (np.arange(width) < lengths[:, None]).astype(np.intp)  # (W, P)
        [pairs] = np.nonzero(self.first_lengths[bucket] >= 0)
        if len(pairs):
            middle = len(tokenizer.prefix_ids) + self.first_lengths[bucket][pairs]
            ids[pairs[:, None], middle[:, None] + np.arange(len(tokenizer.middle_ids))] = tokenizer.middle_ids
            is_second = np.arange(width) >= middle[:, None] + len(tokenizer.middle_ids)
            types[pairs] = np.where(is_second, tokenizer.second_type, 0) * mask[pairs]
        return PaddedWindows(ids, mask, types)
