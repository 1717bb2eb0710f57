"""All pieces of every token, as spacy-transformers counts them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tokens.batch import Ints, PieceBatch, TokenBatch


def find_overlaps(pieces: PieceBatch, tokens: TokenBatch) -> tuple[Ints, Ints]:
    """Pair every token with every piece that reaches into it.

    A token counts as reaching up to the start of the next one: the whitespace behind it is its own.

    Args:
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts, which open at character 0 of each.

    Returns:
        `(O,)` tokens and `(O,)` pieces, both as flat indices, by piece.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 5, 10], [4, 10, 14], [3])))
        >>> [pair.tolist() for pair in find_overlaps(pieces, tokens)]
        [[0, 1, 1, 2], [0, 1, 2, 2]]
    """
    visible = np.flatnonzero(pieces.char_end > pieces.char_start)
    n_texts = len(pieces.lengths)
    extent = np.zeros(n_texts, dtype=np.intp)
    np.maximum.at(extent, np.repeat(np.arange(n_texts), pieces.lengths), pieces.char_end)
    np.maximum.at(extent, np.repeat(np.arange(n_texts), tokens.lengths), tokens.char_end)
    base = np.cumsum(extent + 1) - extent - 1
    starts = tokens.char_start + np.repeat(base, tokens.lengths)
    piece_base = np.repeat(base, pieces.lengths)[visible]
    first = np.searchsorted(starts, pieces.char_start[visible] + piece_base, side="right") - 1
    last = np.searchsorted(starts, pieces.char_end[visible] - 1 + piece_base, side="right") - 1
    n_tokens = last - first + 1
    offset = np.arange(n_tokens.sum()) - np.repeat(np.cumsum(n_tokens) - n_tokens, n_tokens)
    return np.repeat(first, n_tokens) + offset, np.repeat(visible, n_tokens)


def sum_by_token(values: NDArray[np.floating], pieces: PieceBatch, tokens: TokenBatch) -> NDArray[np.float64]:
    """Sum values of pieces to those of tokens; a piece that reaches into several tokens is parted equally.

    Args:
        values: `(P,)` a value of each piece.
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts, which open at character 0 of each.

    Returns:
        `(T,)`; what belongs to pieces that stand for no character is left out.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 5, 10], [4, 10, 14], [3])))
        >>> sum_by_token(np.array([1.0, 2.0, 4.0]), pieces, tokens).tolist()
        [1.0, 4.0, 2.0]
    """
    token, piece = find_overlaps(pieces, tokens)
    n_tokens = np.bincount(piece, minlength=len(values))
    parts: NDArray[np.float64] = values[piece] / n_tokens[piece]
    summed: NDArray[np.float64] = np.bincount(token, parts, minlength=len(tokens.char_start)).astype(np.float64)
    return summed
