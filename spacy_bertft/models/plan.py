"""A batch of documents, cut into pieces and windows: all that is known before torch sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
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
from ..pieces.batch import Ints, join_pieces, take_texts
from ..pieces.pairs import encode_ranges, list_parts


@dataclass(frozen=True)
class EncodingPlan:
    """The pieces of a batch and what is wanted of them.

    A pair of texts is one window, as in Hugging Face's tokenizers. If it does not fit, it is cut for heads that read
    texts; for heads that read tokens its two texts are read one after the other, with windows over each.

    Attributes:
        layout: The pieces of all sequences, and the windows over them. A sequence is a single text, a pair, or a part
            of a pair.
        pieces: The pieces of each document with which its tokens are aligned; they are the first ones of `layout`.
        token_index: `(A,)` the tokens that have a piece of their own, counted through the batch. Tokens that share
            their piece, such as the characters of a Chinese word, are one row.
        token_end: `(A,)` one past the last token that has the piece.
        token_piece: `(A,)` the piece of each row.
        lengths: `(B,)` rows per document.
        text_window: `(V,)` the windows that heads for texts read, document after document.
        window_doc: `(V,)` the document of each of them.
        n_lost: `(B,)` pieces that a pair loses in these windows, because it does not fit.
    """

    layout: WindowLayout
    pieces: PieceBatch
    token_index: Ints
    token_end: Ints
    token_piece: Ints
    lengths: Ints
    text_window: Ints
    window_doc: Ints
    n_lost: Ints


@dataclass(frozen=True)
class _Sequences:
    """What windows are laid over.

    Attributes:
        pieces: The pieces of each sequence.
        doc: `(S,)` the document of each.
        first_lengths: `(S,)` pieces of the first text of a pair, −1 for all others.
        is_text: `(S,)` whether heads for texts read it.
        n_aligned: How many of the sequences tokens are aligned with; they come first, document after document.
        n_lost: `(B,)` pieces that each document has lost where heads for texts read it.
    """

    pieces: PieceBatch
    doc: Ints
    first_lengths: Ints
    is_text: NDArray[np.bool_]
    n_aligned: int
    n_lost: Ints


def plan_encoding(
    docs: list[Doc], tokenizer: PieceTokenizer, size: int, stride: int, *, has_tokens: bool, has_texts: bool = True
) -> EncodingPlan:
    """Cut documents into pieces and windows.

    Args:
        docs: The documents.
        tokenizer: Cuts their texts.
        size: Pieces of a window, special pieces left out.
        stride: Pieces from one window to the next.
        has_tokens: Whether tokens are to be aligned with pieces; if not, the plan has none.
        has_texts: Whether a head reads the texts as a whole.
    """
    sequences = _encode(docs, tokenizer, size, has_tokens=has_tokens, has_texts=has_texts)
    windows = plan_windows(sequences.pieces.lengths, size, stride)
    text_window = np.flatnonzero(sequences.is_text[windows.sequence])
    window_doc = sequences.doc[windows.sequence[text_window]]
    by_doc = np.argsort(window_doc, kind="stable")
    pieces = _take_aligned(sequences, len(docs))
    token_index, token_end, token_piece = np.zeros((3, 0), dtype=np.intp)
    if has_tokens:
        token_index, token_end, token_piece = group_tokens(align(pieces, read_tokens(docs)).piece_by_token)
    token_doc = np.repeat(np.arange(len(docs)), [len(doc) for doc in docs])
    return EncodingPlan(
        layout=WindowLayout(sequences.pieces, windows, sequences.first_lengths[windows.sequence], tokenizer),
        pieces=pieces,
        token_index=token_index,
        token_end=token_end,
        token_piece=token_piece,
        lengths=np.bincount(token_doc[token_index], minlength=len(docs)),
        text_window=text_window[by_doc],
        window_doc=window_doc[by_doc],
        n_lost=sequences.n_lost,
    )


def _encode(docs: list[Doc], tokenizer: PieceTokenizer, size: int, *, has_tokens: bool, has_texts: bool) -> _Sequences:
    texts = [doc.text for doc in docs]
    pairs = [find_segments(doc, text) for doc, text in zip(docs, texts, strict=True)]
    doc, is_text = np.arange(len(docs)), np.ones(len(docs), dtype=np.bool_)
    if not any(pairs):
        none = np.zeros(len(docs), dtype=np.intp)
        return _Sequences(tokenizer.encode(texts), doc, none - 1, is_text, len(docs), none)
    pieces, first_lengths, n_lost = encode_pairs(tokenizer, texts, pairs, max(0, size - len(tokenizer.middle_ids)))
    whole = _Sequences(pieces, doc, first_lengths, is_text, len(docs), n_lost)
    if not has_tokens:
        return whole
    parts = [[] if pair is None else list_parts(text, pair) for text, pair in zip(texts, pairs, strict=True)]
    # Tokens around the two texts are in none of them.
    has_more = [not set(each) <= set(pair or ()) for each, pair in zip(parts, pairs, strict=True)]
    is_parted = (n_lost > 0) | np.array(has_more, dtype=np.bool_)
    ranges = [(index, part) for index in np.flatnonzero(is_parted).tolist() for part in parts[index]]
    if not ranges:
        return whole
    pieces = join_pieces(pieces, encode_ranges(tokenizer, texts, ranges))
    return _part(whole, pieces, is_parted, [index for index, _ in ranges], has_texts=has_texts)


def _part(
    whole: _Sequences, pieces: PieceBatch, is_parted: NDArray[np.bool_], part_doc: list[int], *, has_texts: bool
) -> _Sequences:
    """Align the tokens of some pairs with the parts of their texts.

    Args:
        whole: A sequence for each document.
        pieces: Their pieces, and those of all parts after them.
        is_parted: `(B,)` whether a document is a pair whose tokens are aligned with its parts.
        part_doc: The document of each part.
        has_texts: Whether heads for texts read the pairs; then these come last.
    """
    n_docs, n_parts = len(is_parted), len(part_doc)
    doc = np.concatenate([whole.doc, np.array(part_doc, dtype=np.intp)])
    first_lengths = np.concatenate([whole.first_lengths, np.full(n_parts, -1)])
    aligned = np.concatenate([np.flatnonzero(~is_parted), np.arange(n_docs, n_docs + n_parts)])
    aligned = aligned[np.argsort(doc[aligned], kind="stable")]
    order = np.concatenate([aligned, np.flatnonzero(is_parted & has_texts)])
    return _Sequences(
        pieces=take_texts(pieces, order),
        doc=doc[order],
        first_lengths=first_lengths[order],
        is_text=order < n_docs,
        n_aligned=len(aligned),
        n_lost=whole.n_lost * has_texts,
    )


def _take_aligned(sequences: _Sequences, n_docs: int) -> PieceBatch:
    """Take the pieces that tokens are aligned with, document after document."""
    aligned = np.arange(sequences.n_aligned)
    lengths = np.bincount(sequences.doc[aligned], sequences.pieces.lengths[aligned], minlength=n_docs)
    return replace(take_texts(sequences.pieces, aligned), lengths=lengths.astype(np.intp))


def read_tokens(docs: list[Doc]) -> TokenBatch:
    """Read the character offsets of all tokens of a batch."""
    arrays = [doc.to_array([IDX, LENGTH]).reshape(-1, 2).astype(np.intp) for doc in docs]
    offsets = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.intp)
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    return TokenBatch(char_start=offsets[:, 0], char_end=offsets.sum(axis=1), lengths=lengths)
