"""Pairs of texts: both in one window, truncated so that they fit, or the parts of each in windows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from spacy_bertft.tokens.alignment import Ints, PieceBatch, TokenBatch
from spacy_bertft.tokens.tokenizer import PieceTokenizer

Range = tuple[int, int]


class Halves(NamedTuple):
    """Single texts, and the halves of pairs.

    Attributes:
        pieces: Their pieces, with offsets into the whole texts.
        owner: `(H,)` the text of each.
        second: `(Q,)` which of them are second halves; the one before is the first half.
    """

    pieces: PieceBatch
    owner: Ints
    second: Ints


def encode_halves(
    tokenizer: PieceTokenizer,
    texts: Sequence[str],
    pairs: Sequence[tuple[Range, Range] | None],
    tokens: TokenBatch | None = None,
) -> Halves:
    """Tokenize texts, the two halves of a pair separately.

    Args:
        tokenizer: Cuts the texts.
        texts: Single texts, and pairs in one string.
        pairs: For each, the characters of its two halves; None for a single text.
        tokens: Their tokens, to be tokenized one by one.
    """
    halves = [(index, half) for index, text in enumerate(texts) for half in pairs[index] or [(0, len(text))]]
    owner = np.array([index for index, _ in halves], dtype=np.intp)
    second = np.flatnonzero(owner[1:] == owner[:-1]) + 1
    return Halves(encode_ranges(tokenizer, texts, halves, tokens), owner, second)


def encode_pairs(
    tokenizer: PieceTokenizer, texts: Sequence[str], pairs: Sequence[tuple[Range, Range] | None], size: int
) -> tuple[PieceBatch, Ints, Ints]:
    """Tokenize texts, and truncate pairs; see `encode_halves` and `fit_halves`."""
    return fit_halves(encode_halves(tokenizer, texts, pairs), len(texts), size)


def fit_halves(halves: Halves, n_texts: int, size: int) -> tuple[PieceBatch, Ints, Ints]:
    """Truncate pairs that are too long.

    Args:
        halves: Single texts, and the halves of pairs.
        n_texts: How many texts they are of.
        size: Pieces that a pair may have, special pieces left out. What is too long loses pieces from the longer half
            first.

    Returns:
        The pieces, with offsets into the whole texts; `(B,)` pieces of the first half of each, −1 for a single text;
        and `(B,)` how many pieces each has lost.
    """
    pieces, owner, second = halves
    kept = pieces.lengths.copy()
    kept[second - 1], kept[second] = fit_pair(kept[second - 1], kept[second], size)
    first_lengths = np.full(n_texts, -1, dtype=np.intp)
    first_lengths[owner[second]] = kept[second - 1]
    starts = np.cumsum(pieces.lengths) - pieces.lengths
    rank = np.arange(len(pieces.ids)) - np.repeat(starts, pieces.lengths)  # (P,) in its half
    is_kept = rank < np.repeat(kept, pieces.lengths)
    lengths, n_lost = (
        np.bincount(owner, each, minlength=n_texts).astype(np.intp) for each in (kept, pieces.lengths - kept)
    )
    fitted = PieceBatch(pieces.ids[is_kept], pieces.char_start[is_kept], pieces.char_end[is_kept], lengths)
    return fitted, first_lengths, n_lost


def encode_ranges(
    tokenizer: PieceTokenizer,
    texts: Sequence[str],
    ranges: Sequence[tuple[int, Range]],
    tokens: TokenBatch | None = None,
) -> PieceBatch:
    """Tokenize ranges of texts separately.

    Args:
        tokenizer: Cuts the ranges.
        texts: The texts.
        ranges: Which text each range is of, and its characters.
        tokens: The tokens of the texts, to be tokenized one by one.

    Returns:
        The pieces, range after range, with offsets into the whole texts.
    """
    parts = [texts[index][start:end] for index, (start, end) in ranges]
    pieces = tokenizer.encode(parts) if tokens is None else tokenizer.encode_tokens(parts, tokens.take_ranges(ranges))
    base = np.repeat(np.array([start for _, (start, _) in ranges], dtype=np.intp), pieces.lengths)
    return PieceBatch(pieces.ids, pieces.char_start + base, pieces.char_end + base, pieces.lengths)


def list_parts(text: str, pair: tuple[Range, Range]) -> list[Range]:
    """List the parts of a text that holds a pair: its halves, and what is around them, if that is not whitespace.

    Example:
        >>> list_parts("Q: who? A: me", ((3, 7), (11, 13)))
        [(0, 3), (3, 7), (7, 11), (11, 13)]
    """
    edges = [0, *pair[0], *pair[1], len(text)]
    return [(start, end) for start, end in pairwise(edges) if text[start:end].strip()]


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
