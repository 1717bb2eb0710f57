"""Pieces, tokens and the alignment between them, as flat arrays over a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


class PieceBatch(NamedTuple):
    """The pieces of a batch of texts, text after text, without special pieces.

    Attributes:
        ids: `(P,)` vocabulary ids.
        char_start: `(P,)` first character of each piece in its text.
        char_end: `(P,)` one past its last character; equal to `char_start` for a piece without characters.
        lengths: `(B,)` pieces per text.
    """

    ids: Ints
    char_start: Ints
    char_end: Ints
    lengths: Ints


def join_pieces(*batches: PieceBatch) -> PieceBatch:
    """Concatenate batches of pieces, at least one."""
    return PieceBatch(*map(np.concatenate, zip(*batches, strict=True)))


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
    index = take_ranges(pieces.lengths, texts)
    return PieceBatch(pieces.ids[index], pieces.char_start[index], pieces.char_end[index], pieces.lengths[texts])


def take_ranges(lengths: Ints, index: Ints) -> Ints:
    """List the elements of some of the ranges that follow each other in a flat array.

    Example:
        >>> take_ranges(np.array([2, 0, 3]), np.array([2, 0])).tolist()
        [2, 3, 4, 0, 1]
    """
    return join_ranges((np.cumsum(lengths) - lengths)[index], lengths[index])


def join_ranges(starts: Ints, lengths: Ints) -> Ints:
    """List the elements of ranges, one range after the other.

    Example:
        >>> join_ranges(np.array([2, 7]), np.array([3, 1])).tolist()
        [2, 3, 4, 7]
    """
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


class TokenBatch(NamedTuple):
    """The tokens of a batch of texts, text after text.

    Attributes:
        char_start: `(T,)` first character of each token in its text.
        char_end: `(T,)` one past its last character.
        lengths: `(B,)` tokens per text.
    """

    char_start: Ints
    char_end: Ints
    lengths: Ints

    def take_ranges(self, ranges: Sequence[tuple[int, tuple[int, int]]]) -> TokenBatch:
        """Take the tokens that start in ranges of texts, with their offsets there.

        Args:
            ranges: Which text each range is of, and its characters.

        Example:
            >>> tokens = TokenBatch(np.array([0, 4, 0]), np.array([3, 8, 5]), lengths=np.array([2, 1]))
            >>> [each.tolist() for each in tokens.take_ranges([(1, (0, 5)), (0, (4, 8))])]
            [[0, 0], [5, 4], [1, 1]]
        """
        of_text = np.split(self.char_start, np.cumsum(self.lengths)[:-1])
        found = [np.searchsorted(of_text[index], each) for index, each in ranges]
        bounds = np.array(found, dtype=np.intp).reshape(-1, 2)
        lengths = bounds[:, 1] - bounds[:, 0]
        text, base = np.array([(index, start) for index, (start, _) in ranges], dtype=np.intp).reshape(-1, 2).T
        first = (np.cumsum(self.lengths) - self.lengths)[text] + bounds[:, 0] - (np.cumsum(lengths) - lengths)
        token = np.arange(lengths.sum()) + np.repeat(first, lengths)
        base = np.repeat(base, lengths)
        return TokenBatch(self.char_start[token] - base, self.char_end[token] - base, lengths)


def align(pieces: PieceBatch, tokens: TokenBatch) -> Ints:
    """Find the piece that represents each token.

    It is the first piece that starts inside the token. If none does, because a piece crosses the boundary
    between two tokens, it is the first piece that overlaps the token. A token of whitespace, or of characters that
    the tokenizer deletes, has none, except in the middle of a piece.

    Args:
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts.

    Returns:
        `(T,)` flat index of the piece of each token, −1 where it has none.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 4, 5], [4, 5, 14], [3])))  # "drew", " ", "barrymore"
        >>> align(pieces, tokens).tolist()
        [0, -1, 1]
    """
    is_visible = pieces.char_end > pieces.char_start  # (P,)
    index = np.flatnonzero(is_visible)
    if not len(index):
        return np.full(len(tokens.char_start), -1, dtype=np.intp)
    base = _text_bases(pieces, tokens)  # (B,) so that one search serves all texts
    piece_base = np.repeat(base, pieces.lengths)[index]
    token_base = np.repeat(base, tokens.lengths)
    piece_start, piece_end = pieces.char_start[index] + piece_base, pieces.char_end[index] + piece_base
    token_start, token_end = tokens.char_start + token_base, tokens.char_end + token_base
    if (np.diff(piece_start) < 0).any():
        # Unicode normalization may put combining marks into another order.
        order = np.argsort(piece_start, kind="stable")
        index, piece_start, piece_end = index[order], piece_start[order], piece_end[order]
    inside = np.searchsorted(piece_start, token_start, side="left")  # (T,) first piece that starts at or after it
    starts_inside = _take(piece_start, inside, default=-1) < token_end
    starts_inside &= inside < len(index)
    # The first piece that ends after the start of the token, even if there are shorter ones in between.
    across = np.searchsorted(np.maximum.accumulate(piece_end), token_start, side="right")
    chosen = np.where(starts_inside, inside, np.where(across < inside, across, -1))
    return np.where(chosen >= 0, _take(index, chosen, default=-1), -1)


def group_tokens(piece_by_token: Ints) -> tuple[Ints, Ints, Ints]:
    """Join neighbouring tokens that share their piece: the model cannot distinguish them, so they get one prediction.

    Args:
        piece_by_token: `(T,)` the piece of each token, −1 where it has none.

    Returns:
        The first token of each group, one past its last token, and its piece, each `(A,)`.

    Example:
        >>> first, end, piece = group_tokens(np.array([0, 0, -1, 0, 3, -1]))
        >>> first.tolist(), end.tolist(), piece.tolist()
        ([0, 4], [4, 5], [0, 3])
    """
    has_piece = np.flatnonzero(piece_by_token >= 0)
    piece = piece_by_token[has_piece]
    is_first = np.diff(piece, prepend=-1) != 0
    is_last = np.diff(piece, append=-1) != 0
    return has_piece[is_first], has_piece[is_last] + 1, piece[is_first]


def _text_bases(pieces: PieceBatch, tokens: TokenBatch) -> Ints:
    """Give every text its own range of a common axis, `(B,)` first position of each."""
    n_texts = len(pieces.lengths)
    extent = np.zeros(n_texts, dtype=np.intp)
    for ends, lengths in ((pieces.char_end, pieces.lengths), (tokens.char_end, tokens.lengths)):
        np.maximum.at(extent, np.repeat(np.arange(n_texts), lengths), ends)
    extent += 1
    return np.cumsum(extent) - extent


def _take(values: Ints, index: Ints, default: int) -> Ints:
    """Look up values; out of range gives the default."""
    within = (index >= 0) & (index < len(values))
    return np.where(within, values[np.clip(index, 0, len(values) - 1)], default)


def find_overlaps(pieces: PieceBatch, tokens: TokenBatch) -> tuple[Ints, Ints]:
    """Pair every token with every piece that overlaps it, as spacy-transformers does.

    A token extends to the start of the next one, over the whitespace behind it.

    Args:
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts, which start at character 0 of each.

    Returns:
        `(O,)` tokens and `(O,)` pieces, both as flat indices, by piece.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 5, 10], [4, 10, 14], [3])))
        >>> [pair.tolist() for pair in find_overlaps(pieces, tokens)]
        [[0, 1, 1, 2], [0, 1, 2, 2]]
    """
    visible = np.flatnonzero(pieces.char_end > pieces.char_start)
    base = _text_bases(pieces, tokens)
    starts = tokens.char_start + np.repeat(base, tokens.lengths)
    piece_base = np.repeat(base, pieces.lengths)[visible]
    first = np.searchsorted(starts, pieces.char_start[visible] + piece_base, side="right") - 1
    last = np.searchsorted(starts, pieces.char_end[visible] - 1 + piece_base, side="right") - 1
    n_tokens = last - first + 1
    offset = np.arange(n_tokens.sum()) - np.repeat(np.cumsum(n_tokens) - n_tokens, n_tokens)
    return np.repeat(first, n_tokens) + offset, np.repeat(visible, n_tokens)


def sum_by_token(values: NDArray[np.floating], pieces: PieceBatch, tokens: TokenBatch) -> NDArray[np.float64]:
    """Sum values of pieces by token; that of a piece that overlaps several tokens is divided equally.

    Args:
        values: `(P,)` a value of each piece.
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts, which start at character 0 of each.

    Returns:
        `(T,)`; pieces without characters are left out.

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
