"""A batch of documents, cut into pieces and windows: all that is known before torch sees it.

The forward pass over the windows of a batch: bucket by bucket, and back in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc

from spacy_bertft.data.pairs import SEGMENTS, find_segments
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.sequences import Sequences, Wanted, cut_pairs, cut_sentences, find_asked, plan_choices
from spacy_bertft.models.encoder.settings import WindowSize
from spacy_bertft.models.encoder.states import CHOICES, EncodedDocs, Output
from spacy_bertft.models.runtime.processes import run_side_by_side
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, TokenBatch, WindowLayout, align, plan_windows
from spacy_bertft.tokens.alignment import Ints, find_overlaps, group_tokens, take_texts
from spacy_bertft.tokens.contexts import ContextRows
from spacy_bertft.tokens.tokenizer import trim_pieces
from spacy_bertft.tokens.windows import cut_buckets

if TYPE_CHECKING:
    from spacy_bertft.models.encoder.graph import GraphEncoder
    from spacy_bertft.models.encoder.module import BertModule

EncoderModule = Union["BertModule", "GraphEncoder"]


@dataclass(frozen=True)
class EncodingPlan:
    """The pieces of a batch and what is wanted of them.

    A pair of texts is one window, as in Hugging Face's tokenizers. If it does not fit, it is cut for heads that read
    texts; for heads that read tokens its two texts are read one after the other, with windows over each; for heads
    that answer questions, each part of the second text is read with the whole first one before it. Where windows are
    laid over sentences, each sentence is read as if it were a document.

    Attributes:
        layout: The pieces of all sequences, and the windows over them. A sequence is a single text or sentence, a
            pair, or a part of a pair.
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
        contexts: The pieces that answers to questions are read from; None where no head reads them.
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
    contexts: ContextRows | None
    context_window: Ints
    context_column: Ints


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

    Raises:
        DataError: Windows are laid over sentences, and a document has no sentence boundaries.
    """
    wanted = Wanted(has_tokens, has_texts, has_contexts)
    is_read = has_tokens or has_texts or has_contexts  # if not, heads for choices alone read the texts
    none = np.zeros(0, dtype=np.intp)
    texts = [doc.text if is_read else "" for doc in docs]
    pairs = [find_segments(doc, text) if SEGMENTS in doc.spans else None for doc, text in zip(docs, texts, strict=True)]
    sentences = cut_sentences(docs, pairs) if tokenizer.by_sentence and (has_tokens or has_texts) else None
    if sentences:
        texts, pairs = sentences.texts, sentences.pairs
    tokens = read_tokens(docs) if tokenizer.by_token and is_read else None
    if tokens and sentences:
        tokens = sentences.place_tokens(tokens)
    if any(pairs) or not (has_tokens or has_texts):
        cut = cut_pairs(texts, pairs, tokenizer, WindowSize(size, stride), wanted, tokens)
        untrimmed = aligned = take_texts(cut.pieces, np.arange(cut.n_aligned))
    else:
        zeros, each = np.zeros(len(texts), dtype=np.intp), np.arange(len(texts))
        if tokens:
            untrimmed = aligned = tokenizer.encode_tokens(texts, tokens)
        else:
            untrimmed = tokenizer.encode(texts, keep_whitespace=True)
            aligned = trim_pieces(untrimmed, texts)
        cut = Sequences(aligned, each, zeros - 1, zeros == 0, len(each), zeros)
    if sentences:
        in_text = cut.doc[: cut.n_aligned]
        aligned, untrimmed = sentences.place_pieces(aligned, in_text), sentences.place_pieces(untrimmed, in_text)
        cut = sentences.join_sequences(cut, len(docs))
    lengths = np.bincount(cut.doc[: cut.n_aligned], aligned.lengths, minlength=len(docs)).astype(np.intp)
    aligned, untrimmed = aligned._replace(lengths=lengths), untrimmed._replace(lengths=lengths)
    windows = plan_windows(cut.pieces.lengths, size, stride)
    text_window = np.flatnonzero(cut.is_text[windows.sequence])
    window_doc = cut.doc[windows.sequence[text_window]]
    by_doc = np.argsort(window_doc, kind="stable")
    token_index, token_end, token_piece = np.zeros((3, 0), dtype=np.intp)
    if has_tokens:
        token_index, token_end, token_piece = group_tokens(align(aligned, read_tokens(docs)))
    token_doc = np.repeat(np.arange(len(docs)), [len(doc) for doc in docs])
    contexts, context_window, context_column = None, none, none
    if has_contexts:
        asked_tokens = read_tokens([docs[index] for index in cut.asked_doc.tolist()])
        contexts, context_window, context_column = find_asked(cut, asked_tokens, len(docs), tokenizer, windows)
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
        contexts=contexts,
        context_window=context_window,
        context_column=context_column,
    )


def read_tokens(docs: list[Doc]) -> TokenBatch:
    """Read the character offsets of all tokens of a batch."""
    arrays = [doc.to_array([IDX, LENGTH]).reshape(-1, 2).astype(np.intp) for doc in docs]
    offsets = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.intp)
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    return TokenBatch(char_start=offsets[:, 0], char_end=offsets.sum(axis=1), lengths=lengths)


# Fewer pieces than this are not worth a bucket of their own for another worker.
_LEAST_PIECES = 256
_PADDING = 1.03  # what padding adds to the pieces of a bucket, about
# On a CPU, more padding than this costs more than another forward pass: in all layers, or where windows lie in rows
# without padding, in the embeddings.
_MOST_PADDING, _MOST_EMBEDDED = 32, 1024


def encode_docs(
    module: EncoderModule, docs: list[Doc], *, window: WindowSize, max_pieces: int, outputs: Sequence[Output]
) -> EncodedDocs:
    """Cut documents into windows, run them, and gather the states that are wanted.

    Args:
        module: The encoder.
        docs: The documents.
        window: How long texts are cut.
        max_pieces: Most pieces, padding included, of one forward pass.
        outputs: What is wanted of the states.
    """
    poolings: list[Output] = [output for output in outputs if output in ("first", "mean", "max")]
    means, has_contexts = "token_means" in outputs, "contexts" in outputs
    plan = plan_encoding(
        docs,
        module.tokenizer,
        *window,
        has_tokens=means or "tokens" in outputs,
        has_texts=bool(poolings),
        has_contexts=has_contexts,
    )
    layout = plan.layout
    piece = plan.token_piece
    if means:
        mean_token, mean_piece = find_overlaps(plan.untrimmed, read_tokens(docs))
        piece = np.concatenate([piece, mean_piece])
    owner = layout.windows.find_owners(piece)
    column = layout.find_columns(piece, owner)
    owner, column = np.append(owner, plan.context_window), np.append(column, plan.context_column)
    states, pooled = gather_states(module, layout, max_pieces, owner, column, poolings)
    n_rows = len(plan.token_piece)
    states, of_contexts = states[: len(piece)], states[len(piece) :]
    if len(plan.text_window) < len(layout.first_lengths):  # other windows are read by heads for tokens only
        pooled = {pooling: vectors[plan.text_window] for pooling, vectors in pooled.items()}
    if means:
        pooled["token_means"] = module.average(states[n_rows:], mean_token, sum(map(len, docs)))
    if has_contexts:
        pooled["contexts"] = of_contexts
    choices = np.zeros((0, 2), dtype=np.intp)
    if chosen := [output for output in outputs if output in CHOICES]:
        paired, choices = plan_choices(docs, module.tokenizer, window)
        none = np.zeros(0, dtype=np.intp)
        _, vectors = gather_states(module, paired, max_pieces, none, none, [CHOICES[output] for output in chosen])
        pooled |= {output: vectors[CHOICES[output]] for output in chosen}
    return EncodedDocs(
        vectors={"tokens": states[:n_rows], **pooled},
        token_index=plan.token_index,
        token_end=plan.token_end,
        lengths=plan.lengths,
        window_doc=plan.window_doc,
        window_lengths=layout.lengths[plan.text_window],
        n_lost=plan.n_lost,
        contexts=plan.contexts,
        choices=choices,
    )


def gather_states(
    module: EncoderModule,
    layout: WindowLayout,
    max_pieces: int,
    window: Ints,
    column: Ints,
    poolings: Sequence[Output] = (),
) -> tuple[Any, dict[Output, Any]]:
    """Run all windows, bucket by bucket, and pick states out of them.

    Args:
        module: The encoder.
        layout: The windows.
        max_pieces: Most pieces, padding included, of one forward pass.
        window: `(A,)` the windows to pick from.
        column: `(A,)` the columns there.
        poolings: Ways to make one vector of each window.

    Returns:
        `(A, F)` the states picked, and for each way of pooling `(W, F)`; all of them float32.
    """
    n_workers = module.n_workers
    n_pieces = int(layout.lengths.sum())
    if n_workers > 1 and n_pieces >= n_workers * _LEAST_PIECES:
        # About equal buckets: one for each worker, or two, or three.
        n_buckets = n_workers * -(-n_pieces // (n_workers * max_pieces))
        max_pieces = min(max_pieces, int(n_pieces / n_buckets * _PADDING) + 1)
    most_padding = None if not n_workers else _MOST_EMBEDDED if module.has_rows else _MOST_PADDING
    most_padding = most_padding if module.may_pad else 0
    buckets = cut_buckets(layout.lengths, max_pieces, most_padding)[::-1]  # so that workers end at about the same time
    bucket_by_window, row_by_window = np.zeros((2, len(layout.lengths)), dtype=np.intp)
    for number, bucket in enumerate(buckets):
        bucket_by_window[bucket], row_by_window[bucket] = number, np.arange(len(bucket))
    by_bucket = np.argsort(bucket_by_window[window], kind="stable")
    bounds = np.searchsorted(bucket_by_window[window][by_bucket], np.arange(len(buckets) + 1))

    def run(number: int) -> tuple[Any, list[Any]]:
        padded = layout.pad(buckets[number], module.pad_id, module.least_pieces)
        states: Any = module.run(padded)
        if states.shape[1] != padded.ids.shape[1] and (len(window) or {*poolings} != {"first"}):
            raise UnsupportedError(
                "The encoder makes one state of several subword tokens, so that only the first one of a text is known. "
                "Expected a head for texts, with the pooling cls or first."
            )
        here = by_bucket[bounds[number] : bounds[number + 1]]
        picked = module.pick(states, row_by_window[window[here]] * states.shape[1] + column[here])
        return picked, [module.pool(states, padded.mask, pooling) for pooling in poolings]

    parts = run_side_by_side(run, range(len(buckets)), n_workers)
    windows = np.concatenate([*buckets, np.zeros(0, dtype=np.intp)])
    pooled = {
        pooling: module.join([part[1][number] for part in parts], windows) for number, pooling in enumerate(poolings)
    }
    return module.join([part[0] for part in parts], by_bucket), pooled
