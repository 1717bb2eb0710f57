"""A batch of documents, cut into pieces and windows: all that is known before torch sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc

from spacy_bertft.data.pairs import SEGMENTS, Segment, find_segments
from spacy_bertft.models.encoder.module import WindowSize
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, TokenBatch, WindowLayout, align, plan_windows
from spacy_bertft.tokens.alignment import Ints, group_tokens, join_pieces, take_texts
from spacy_bertft.tokens.contexts import ContextRows, ContextWindows, cut_contexts, list_rows, make_no_rows
from spacy_bertft.tokens.pairs import encode_halves, encode_ranges, fit_halves, list_parts
from spacy_bertft.tokens.tokenizer import trim_pieces
from spacy_bertft.tokens.windows import Windows


@dataclass(frozen=True)
class EncodingPlan:
    """The pieces of a batch and what is wanted of them.

    A pair of texts is one window, as in Hugging Face's tokenizers. If it does not fit, it is cut for heads that read
    texts; for heads that read tokens its two texts are read one after the other, with windows over each; for heads
    that answer questions, each part of the second text is read with the whole first one before it.

    Attributes:
        layout: The pieces of all sequences, and the windows over them. A sequence is a single text, a pair, or a part
            of a pair.
        pieces: The pieces of each document with which its tokens are aligned; they are the first ones of `layout`.
        untrimmed: The same with the whitespace that the tokenizer counts to them, with which spacy-transformers aligns.
        token_index: `(A,)` the tokens that have a piece of their own, counted through the batch. Tokens that share
            their piece, such as the characters of a Chinese word, are one row.
        token_end: `(A,)` one past the last token that has the piece.
        token_piece: `(A,)` the piece of each row.
        lengths: `(B,)` rows per document.
        text_window: `(V,)` the windows that heads for texts read, document after document.
        window_doc: `(V,)` the document of each of them.
        n_lost: `(B,)` pieces that a pair loses in these windows, because it does not fit.
        contexts: The pieces that answers to questions are read from; there are none where no head reads them.
        context_window: `(R,)` the window of each of them.
        context_column: `(R,)` its column there.
    """

    layout: WindowLayout
    pieces: PieceBatch
    untrimmed: PieceBatch
    token_index: Ints
    token_end: Ints
    token_piece: Ints
    lengths: Ints
    text_window: Ints
    window_doc: Ints
    n_lost: Ints
    contexts: ContextRows
    context_window: Ints
    context_column: Ints


class _Sequences(NamedTuple):
    """What windows are laid over: single texts, pairs, parts of pairs, and parts of contexts with their questions.

    Attributes:
        pieces: Their pieces.
        doc: `(S,)` the document of each.
        first_lengths: `(S,)` pieces of the first text of a pair, −1 for anything else.
        is_text: `(S,)` whether heads for texts read it.
        n_aligned: How many of them, the first ones, tokens are aligned with.
        n_lost: `(B,)` pieces that each document has lost where heads for texts read it.
        asked: Windows over contexts; None where no head reads them.
        asked_doc: `(Q,)` the document of each question.
        by_asked: `(V,)` the sequence of each of those windows.
    """

    pieces: PieceBatch
    doc: Ints
    first_lengths: Ints
    is_text: NDArray[np.bool_]
    n_aligned: int
    n_lost: Ints
    asked: ContextWindows | None = None
    asked_doc: Ints = np.zeros(0, dtype=np.intp)
    by_asked: Ints = np.zeros(0, dtype=np.intp)


@dataclass(frozen=True)
class Wanted:
    """What heads read.

    Attributes:
        tokens: Whether tokens are to be aligned with pieces; if not, the plan has none.
        texts: Whether a head reads the texts as a whole.
        contexts: Whether a head answers questions.
    """

    tokens: bool
    texts: bool
    contexts: bool


def plan_encoding(
    docs: list[Doc],
    tokenizer: PieceTokenizer,
    size: int,
    stride: int,
    *,
    has_tokens: bool,
    has_texts: bool = True,
    has_contexts: bool = False,
) -> EncodingPlan:
    """Cut documents into pieces and windows.

    Args:
        docs: The documents.
        tokenizer: Cuts their texts.
        size: Pieces of a window, special pieces left out.
        stride: Pieces from one window to the next.
        has_tokens: Whether tokens are to be aligned with pieces; if not, the plan has none.
        has_texts: Whether a head reads the texts as a whole.
        has_contexts: Whether a head answers questions.
    """
    wanted = Wanted(has_tokens, has_texts, has_contexts)
    texts = [doc.text for doc in docs]
    pairs = [find_segments(doc, text) if SEGMENTS in doc.spans else None for doc, text in zip(docs, texts, strict=True)]
    if any(pairs) or not (has_tokens or has_texts):
        cut = _cut_pairs(texts, pairs, tokenizer, WindowSize(size, stride), wanted)
        aligned = take_texts(cut.pieces, np.arange(cut.n_aligned))
        lengths = np.bincount(cut.doc[: cut.n_aligned], aligned.lengths, minlength=len(docs)).astype(np.intp)
        untrimmed = aligned = aligned._replace(lengths=lengths)
    else:
        none, doc = np.zeros(len(docs), dtype=np.intp), np.arange(len(docs))
        if tokenizer.by_token:
            untrimmed = aligned = tokenizer.encode_tokens(texts, read_tokens(docs))
        else:
            untrimmed = tokenizer.encode(texts, keep_whitespace=True)
            aligned = trim_pieces(untrimmed, texts)
        cut = _Sequences(aligned, doc, none - 1, none == 0, len(docs), none)
    windows = plan_windows(cut.pieces.lengths, size, stride)
    text_window = np.flatnonzero(cut.is_text[windows.sequence])
    window_doc = cut.doc[windows.sequence[text_window]]
    by_doc = np.argsort(window_doc, kind="stable")
    token_index, token_end, token_piece = np.zeros((3, 0), dtype=np.intp)
    if has_tokens:
        token_index, token_end, token_piece = group_tokens(align(aligned, read_tokens(docs)))
    token_doc = np.repeat(np.arange(len(docs)), [len(doc) for doc in docs])
    asked = _find_asked(cut, docs, tokenizer, windows)
    return EncodingPlan(
        layout=WindowLayout(cut.pieces, windows, cut.first_lengths[windows.sequence], tokenizer),
        pieces=aligned,
        untrimmed=untrimmed,
        token_index=token_index,
        token_end=token_end,
        token_piece=token_piece,
        lengths=np.bincount(token_doc[token_index], minlength=len(docs)),
        text_window=text_window[by_doc],
        window_doc=window_doc[by_doc],
        n_lost=cut.n_lost,
        contexts=asked[0],
        context_window=asked[1],
        context_column=asked[2],
    )


def _find_asked(
    cut: _Sequences, docs: list[Doc], tokenizer: PieceTokenizer, windows: Windows
) -> tuple[ContextRows, Ints, Ints]:
    """Find what answers are read from: the rows, their windows, and their columns there."""
    rows, none = make_no_rows(len(docs)), np.zeros(0, dtype=np.intp)
    if cut.asked is None:
        return rows, none, none
    tokens = read_tokens([docs[index] for index in cut.asked_doc.tolist()])
    found, window, column = list_rows(cut.asked, tokens, len(tokenizer.prefix_ids), len(tokenizer.middle_ids))
    for each, of_asked in zip(rows[3:], found[3:], strict=True):
        each[cut.asked_doc] = of_asked
    return ContextRows(*found[:3], *rows[3:]), np.searchsorted(windows.sequence, cut.by_asked)[window], column


def _cut_pairs(
    texts: list[str],
    pairs: list[tuple[Segment, Segment] | None],
    tokenizer: PieceTokenizer,
    window: WindowSize,
    wanted: Wanted,
) -> _Sequences:
    """Cut single texts and pairs; the tokens of a pair that one window does not hold are aligned with its parts."""
    size = max(0, window.size - len(tokenizer.middle_ids))
    halves = encode_halves(tokenizer, texts, pairs)
    pieces, first_lengths, n_lost = fit_halves(halves, len(texts), size)
    parts = [list_parts(text, pair) if wanted.tokens and pair else [] for text, pair in zip(texts, pairs, strict=True)]
    # Tokens around the two texts are in none of them.
    has_more = [not set(each) <= set(pair or ()) for each, pair in zip(parts, pairs, strict=True)]
    is_parted = wanted.tokens & ((n_lost > 0) | np.array(has_more, dtype=np.bool_))
    ranges = [(index, part) for index in np.flatnonzero(is_parted).tolist() for part in parts[index]]
    asked = cut_contexts(halves.pieces, halves.second, max(1, size), window.size - window.stride)
    asked_doc = halves.owner[halves.second]
    doc = asked_doc[asked.windows.sequence]  # (V,)
    more = np.flatnonzero(n_lost[doc] > 0) if wanted.contexts else np.zeros(0, dtype=np.intp)
    n_texts, n_parts = len(texts), len(ranges)
    # The pairs and texts, their parts, and windows over contexts; a pair that fits is its own window over its context.
    sequence = doc.copy()
    sequence[more] = n_texts + n_parts + np.arange(len(more))
    doc = np.concatenate([np.arange(n_texts), np.array([index for index, _ in ranges], dtype=np.intp), doc[more]])
    kind = np.repeat(np.arange(3), [n_texts, n_parts, len(more)])
    is_aligned = kind == 1
    is_aligned[:n_texts] = ~is_parted & (wanted.tokens | wanted.texts)
    is_read = is_aligned | (kind == 2) | (wanted.texts & (kind == 0))
    if wanted.contexts:
        is_read[sequence] = True
    # First what tokens are aligned with, document after document; then what only other heads read.
    order = np.lexsort((doc, ~is_aligned))
    order = order[is_read[order]]
    place = np.zeros(len(doc), dtype=np.intp)
    place[order] = np.arange(len(order))
    in_parts = encode_ranges(tokenizer, texts, ranges)
    n_question = asked.n_question[asked.windows.sequence[more]]
    return _Sequences(
        pieces=take_texts(join_pieces(pieces, in_parts, asked.take_pieces(more)), order),
        doc=doc[order],
        first_lengths=np.concatenate([first_lengths, np.full(n_parts, -1), n_question])[order],
        is_text=order < n_texts,
        n_aligned=int(is_aligned.sum()),
        n_lost=n_lost * wanted.texts,
        asked=asked if wanted.contexts else None,
        asked_doc=asked_doc,
        by_asked=place[sequence],
    )


def read_tokens(docs: list[Doc]) -> TokenBatch:
    """Read the character offsets of all tokens of a batch."""
    arrays = [doc.to_array([IDX, LENGTH]).reshape(-1, 2).astype(np.intp) for doc in docs]
    offsets = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.intp)
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    return TokenBatch(char_start=offsets[:, 0], char_end=offsets.sum(axis=1), lengths=lengths)
