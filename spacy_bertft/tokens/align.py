"""Tokens ↔ pieces, for a whole batch at once."""

from __future__ import annotations

import numpy as np

from spacy_bertft.tokens.batch import Alignment, Ints, PieceBatch, TokenBatch


def align(pieces: PieceBatch, tokens: TokenBatch) -> Alignment:
    """Find the piece that stands for each token.

    It is the first piece that starts inside the token. Where none does, because a piece reaches across the boundary
    between two tokens, it is the first piece that reaches into the token. A token of whitespace, or of characters that
    the tokenizer deletes, has none, except in the middle of a piece.

    Args:
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 4, 5], [4, 5, 14], [3])))  # "drew", " ", "barrymore"
        >>> align(pieces, tokens).piece_by_token.tolist()
        [0, -1, 1]
    """
    is_visible = pieces.char_end > pieces.char_start
    index = np.flatnonzero(is_visible)
    if not len(index):
        return Alignment(np.full(len(tokens.char_start), -1, dtype=np.intp))
    base = _text_bases(pieces, tokens)
    piece_base = np.repeat(base, pieces.lengths)[index]
    token_base = np.repeat(base, tokens.lengths)
    piece_start, piece_end = pieces.char_start[index] + piece_base, pieces.char_end[index] + piece_base
    token_start, token_end = tokens.char_start + token_base, tokens.char_end + token_base
    if (np.diff(piece_start) < 0).any():
        # Unicode normalization may put combining marks into another order.
        order = np.argsort(piece_start, kind="stable")
        index, piece_start, piece_end = index[order], piece_start[order], piece_end[order]
    inside = np.searchsorted(piece_start, token_start, side="left")
    starts_inside = _take(piece_start, inside, default=-1) < token_end
    starts_inside &= inside < len(index)
    # The first piece that ends behind the start of the token, whether or not shorter ones stand between.
    across = np.searchsorted(np.maximum.accumulate(piece_end), token_start, side="right")
    chosen = np.where(starts_inside, inside, np.where(across < inside, across, -1))
    return Alignment(np.where(chosen >= 0, _take(index, chosen, default=-1), -1))


def group_tokens(piece_by_token: Ints) -> tuple[Ints, Ints, Ints]:
    """Join neighbouring tokens that share their piece: nothing tells them apart, so they get one prediction.

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
    """Give every text a stretch of a common axis of its own, `(B,)` first position of each."""
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
