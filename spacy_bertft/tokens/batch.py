"""What crosses from text to model: pieces, tokens and the alignment between them, all as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class PieceBatch:
    """The pieces of a batch of texts, text after text, without special pieces.

    Attributes:
        ids: `(P,)` vocabulary ids.
        char_start: `(P,)` first character of each piece in its text.
        char_end: `(P,)` one past its last character; equal to `char_start` for a piece that stands for no character.
        lengths: `(B,)` pieces per text.
    """

    ids: Ints
    char_start: Ints
    char_end: Ints
    lengths: Ints


def join_pieces(first: PieceBatch, second: PieceBatch) -> PieceBatch:
    """Put two batches of pieces one after the other."""
    return PieceBatch(
        ids=np.concatenate([first.ids, second.ids]),
        char_start=np.concatenate([first.char_start, second.char_start]),
        char_end=np.concatenate([first.char_end, second.char_end]),
        lengths=np.concatenate([first.lengths, second.lengths]),
    )


def take_texts(pieces: PieceBatch, texts: Ints) -> PieceBatch:
    """Take the pieces of some texts.

    Args:
        pieces: The pieces of a batch.
        texts: Indices of texts, in any order.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 0], [4, 9, 3], [2, 0, 1])))
        >>> taken = take_texts(pieces, np.array([2, 0]))
        >>> taken.ids.tolist(), taken.lengths.tolist()
        ([9, 7, 8], [1, 2])
    """
    lengths = pieces.lengths[texts]
    shift = (np.cumsum(pieces.lengths) - pieces.lengths)[texts] - (np.cumsum(lengths) - lengths)
    index = np.arange(lengths.sum()) + np.repeat(shift, lengths)
    return PieceBatch(pieces.ids[index], pieces.char_start[index], pieces.char_end[index], lengths)


@dataclass(frozen=True)
class TokenBatch:
    """The tokens of a batch of texts, text after text.

    Attributes:
        char_start: `(T,)` first character of each token in its text.
        char_end: `(T,)` one past its last character.
        lengths: `(B,)` tokens per text.
    """

    char_start: Ints
    char_end: Ints
    lengths: Ints


@dataclass(frozen=True)
class Alignment:
    """Which piece stands for which token.

    Attributes:
        piece_by_token: `(T,)` flat index of the first piece of each token, −1 where it has none.
    """

    piece_by_token: Ints
