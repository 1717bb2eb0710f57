"""A batch of documents, cut into pieces and windows: all that is known before torch sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc

from ..pairs import find_segments
from ..pieces import (
    PieceBatch,
    PieceTokenizer,
    TokenBatch,
    WindowLayout,
    align,
    encode_pairs,
    group_tokens,
    plan_windows,
)
from ..pieces.batch import Ints


@dataclass(frozen=True)
class EncodingPlan:
    """The pieces of a batch and what is wanted of them.

    Attributes:
        layout: The pieces of all documents, and the windows over them.
        token_index: `(A,)` the tokens that have a piece of their own, counted through the batch. Tokens that share
            their piece, such as the characters of a Chinese word, are one row.
        token_end: `(A,)` one past the last token that has the piece.
        token_piece: `(A,)` the piece of each row.
        lengths: `(B,)` rows per document.
    """

    layout: WindowLayout
    token_index: Ints
    token_end: Ints
    token_piece: Ints
    lengths: Ints


def plan_encoding(
    docs: list[Doc], tokenizer: PieceTokenizer, size: int, stride: int, *, has_tokens: bool
) -> EncodingPlan:
    """Cut documents into pieces and windows.

    Args:
        docs: The documents.
        tokenizer: Cuts their texts.
        size: Pieces of a window, special pieces left out.
        stride: Pieces from one window to the next.
        has_tokens: Whether tokens are to be aligned with pieces; if not, the plan has none.
    """
    pieces, first_lengths = _encode(docs, tokenizer, size)
    windows = plan_windows(pieces.lengths, size, stride)
    layout = WindowLayout(pieces, windows, first_lengths[windows.sequence], tokenizer)
    if not has_tokens:
        none = np.zeros(0, dtype=np.intp)
        return EncodingPlan(layout, none, none, none, np.zeros(len(docs), dtype=np.intp))
    tokens = read_tokens(docs)
    token_index, token_end, token_piece = group_tokens(align(pieces, tokens).piece_by_token)
    doc_by_token = np.repeat(np.arange(len(docs)), tokens.lengths)
    return EncodingPlan(
        layout=layout,
        token_index=token_index,
        token_end=token_end,
        token_piece=token_piece,
        lengths=np.bincount(doc_by_token[token_index], minlength=len(docs)),
    )


def _encode(docs: list[Doc], tokenizer: PieceTokenizer, size: int) -> tuple[PieceBatch, Ints]:
    """Return the pieces, and those of the first text of each pair."""
    texts = [doc.text for doc in docs]
    pairs = [find_segments(doc, text) for doc, text in zip(docs, texts, strict=True)]
    if any(pairs):
        return encode_pairs(tokenizer, texts, pairs, max(0, size - len(tokenizer.middle_ids)))
    return tokenizer.encode(texts), np.full(len(docs), -1, dtype=np.intp)


def read_tokens(docs: list[Doc]) -> TokenBatch:
    """Read the character offsets of all tokens of a batch."""
    arrays = [doc.to_array([IDX, LENGTH]).reshape(-1, 2).astype(np.intp) for doc in docs]
    offsets = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.intp)
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    return TokenBatch(char_start=offsets[:, 0], char_end=offsets.sum(axis=1), lengths=lengths)
