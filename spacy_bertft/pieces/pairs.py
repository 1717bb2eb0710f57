"""Pairs of texts that share one window: the pieces of both, cut so that they fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from .batch import Ints, PieceBatch
from .tokenizer import PieceTokenizer

Range = tuple[int, int]


def encode_pairs(
    tokenizer: PieceTokenizer, texts: Sequence[str], pairs: Sequence[tuple[Range, Range] | None], size: int
) -> tuple[PieceBatch, Ints]:
    """Cut texts into pieces, the two halves of a pair each by itself.

    Args:
        tokenizer: Cuts the texts.
        texts: Single texts, and pairs in one string.
        pairs: For each, the characters of its two halves; None for a single text.
        size: Pieces that a pair may have, special pieces left out. What is too long loses pieces from the longer half
            first, and a warning says so once.

    Returns:
        The pieces, with offsets into the whole texts, and `(B,)` pieces of the first half of each, −1 for a single
        text.
    """
    halves = [(index, half) for index, text in enumerate(texts) for half in pairs[index] or [(0, len(text))]]
    pieces = tokenizer.encode([texts[index][start:end] for index, (start, end) in halves])
    owner = np.array([index for index, _ in halves], dtype=np.intp)
    base = np.repeat(np.array([start for _, (start, _) in halves], dtype=np.intp), pieces.lengths)
    kept, first_lengths = _fit_all(pieces.lengths, owner, len(texts), size)
    is_kept = _rank(pieces.lengths) < np.repeat(kept, pieces.lengths)
    fitted = PieceBatch(
        ids=pieces.ids[is_kept],
        char_start=(pieces.char_start + base)[is_kept],
        char_end=(pieces.char_end + base)[is_kept],
        lengths=np.bincount(owner, kept, minlength=len(texts)).astype(np.intp),
    )
    return fitted, first_lengths


def fit_pair(first: Ints, second: Ints, size: int) -> tuple[Ints, Ints]:
    """Shorten pairs to a size, taking pieces from the longer half first.

    Args:
        first: `(B,)` pieces of the first halves.
        second: `(B,)` pieces of the second halves.
        size: Most pieces of both together.

    Returns:
        The pieces that stay, as transformers' `longest_first` leaves them.

    Example:
        >>> [kept.tolist() for kept in fit_pair(np.array([3, 9, 9]), np.array([4, 2, 8]), size=8)]
        [[3, 6, 4], [4, 2, 4]]
    """
    shorter = np.minimum(first, second)
    short = np.minimum(shorter, size // 2)
    long = np.minimum(np.maximum(first, second), size - short)
    is_first_longer = first > second
    return np.where(is_first_longer, long, short), np.where(is_first_longer, short, long)


def _fit_all(lengths: Ints, owner: Ints, n_texts: int, size: int) -> tuple[Ints, Ints]:
    """Return the pieces to keep of each half or single text, and those of each first half."""
    second = np.flatnonzero(owner[1:] == owner[:-1]) + 1
    kept = lengths.copy()
    kept[second - 1], kept[second] = fit_pair(lengths[second - 1], lengths[second], size)
    if (kept < lengths).any():
        warnings.warn(
            "Pairs of texts that do not fit the window of the encoder lose pieces, from the longer text first. "
            "This is said once.",
            stacklevel=2,
        )
    first_lengths = np.full(n_texts, -1, dtype=np.intp)
    first_lengths[owner[second]] = kept[second - 1]
    return kept, first_lengths


def _rank(lengths: Ints) -> Ints:
    """Count the pieces of each text from 0."""
    starts: Ints = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(starts, lengths)
