"""Questions about contexts: every window holds the whole question and a part of the context."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spacy_bertft.tokens.alignment import (
    Ints,
    PieceBatch,
    TokenBatch,
    align,
    group_tokens,
    join_pieces,
    join_ranges,
    take_texts,
)
from spacy_bertft.tokens.windows import Windows, plan_windows


class ContextWindows(NamedTuple):
    """Windows over the contexts of a batch of questions.

    Attributes:
        questions: The pieces of the questions.
        contexts: The pieces of the contexts.
        n_question: `(Q,)` pieces of each question that its windows hold; more than half of a window it may not fill.
        windows: Windows over the contexts.
    """

    questions: PieceBatch
    contexts: PieceBatch
    n_question: Ints
    windows: Windows

    def take_pieces(self, chosen: Ints) -> PieceBatch:
        """Take the pieces of some windows, each the question and its part of the context."""
        pieces, windows = join_pieces(self.questions, self.contexts), self.windows
        pair = windows.sequence[chosen]
        question = (np.cumsum(self.questions.lengths) - self.questions.lengths)[pair]
        context = windows.piece_start[chosen] + len(self.questions.ids)
        # (2·V,) question, context, question …
        start = np.stack([question, context], axis=1).ravel()
        length = np.stack([self.n_question[pair], (windows.piece_end - windows.piece_start)[chosen]], axis=1)
        index = join_ranges(start, length.ravel())
        return PieceBatch(pieces.ids[index], pieces.char_start[index], pieces.char_end[index], length.sum(axis=1))


class ContextRows(NamedTuple):
    """The pieces of windows over contexts that answers are read from: document after document, window after window.

    First in each window is the piece that opens it, then every piece with which a token of the context begins or ends.

    Attributes:
        window: `(R,)` the window of each row, counted in its document.
        token_start: `(R,)` the token that begins with the piece, counted in its document; −1 where none does.
        token_end: `(R,)` one past the last token that ends with the piece, likewise.
        lengths: `(B,)` rows per document; none where it is no pair of texts.
        n_cut: `(B,)` pieces of each question that are left out, as they would fill more than half of a window.
    """

    window: Ints
    token_start: Ints
    token_end: Ints
    lengths: Ints
    n_cut: Ints


def make_no_rows(n_docs: int) -> ContextRows:
    """Make the rows of documents that are no pairs."""
    none, nothing = np.zeros(0, dtype=np.intp), np.zeros(n_docs, dtype=np.intp)
    return ContextRows(none, none, none, nothing, nothing.copy())


def cut_contexts(halves: PieceBatch, second: Ints, size: int, overlap: int) -> ContextWindows:
    """Cut contexts into windows that have room for the question.

    Args:
        halves: The pieces of the halves of pairs.
        second: `(Q,)` which of the halves are contexts; the one before each is its question.
        size: Pieces of a window, special pieces left out.
        overlap: Pieces that two windows share, at most half of what they have of the context. An answer that is no
            longer is whole in one of them.
    """
    questions, contexts = take_texts(halves, second - 1), take_texts(halves, second)
    fits = questions.lengths + contexts.lengths <= size
    n_question = np.where(fits, questions.lengths, np.minimum(questions.lengths, size // 2))
    room = np.maximum(1, size - n_question)  # of a context without pieces, a question may take all
    windows = plan_windows(contexts.lengths, room, room - np.minimum(overlap, room // 2))
    return ContextWindows(questions, contexts, n_question, windows)


def list_rows(cut: ContextWindows, tokens: TokenBatch, n_opening: int, n_middle: int) -> tuple[ContextRows, Ints, Ints]:
    """List the pieces that answers are read from.

    Args:
        cut: The windows.
        tokens: The tokens of the documents of all questions.
        n_opening: Special pieces that open a window.
        n_middle: Special pieces between question and context.

    Returns:
        The rows of these documents; `(R,)` the window of each; and `(R,)` its column there.
    """
    windows, n_question = cut.windows, cut.n_question[cut.windows.sequence]
    lengths = 1 + windows.piece_end - windows.piece_start  # (V,)
    window = np.repeat(np.arange(len(lengths)), lengths)
    rank = join_ranges(np.zeros_like(lengths), lengths)  # 0 for the piece that opens a window
    piece = np.where(rank == 0, -1, windows.piece_start[window] + rank - 1)
    starts, ends = (np.append(each, -1)[piece] for each in find_edges(cut.contexts, tokens))
    kept = np.flatnonzero((rank == 0) | (starts >= 0) | (ends >= 0))
    window, rank = window[kept], rank[kept]
    column = np.where(rank == 0, 0, n_opening + n_question[window] + n_middle + rank - 1)
    pair, n_pairs = windows.sequence, len(cut.n_question)
    n_windows = np.bincount(pair, minlength=n_pairs)
    first_window = (np.cumsum(n_windows) - n_windows)[pair[window]]
    rows = ContextRows(
        window=window - first_window,
        token_start=starts[kept],
        token_end=ends[kept],
        lengths=np.bincount(pair[window], minlength=n_pairs).astype(np.intp),
        n_cut=cut.questions.lengths - cut.n_question,
    )
    return rows, window, column


def find_edges(pieces: PieceBatch, tokens: TokenBatch) -> tuple[Ints, Ints]:
    """Find the pieces with which tokens begin, as `align` does, and those with which they end: before the next begins.

    Args:
        pieces: The pieces of a batch of texts.
        tokens: The tokens of the same texts.

    Returns:
        `(P,)` the token that begins with each piece, counted in its text, −1 where none does; and `(P,)` one past the
        last token that ends with it, −1 likewise. Tokens that share their piece begin and end together.

    Example:
        >>> pieces = PieceBatch(*(np.array(a) for a in ([7, 8, 9], [0, 5, 9], [4, 9, 14], [3])))
        >>> tokens = TokenBatch(*(np.array(a) for a in ([0, 4, 5], [4, 5, 14], [3])))  # "drew", " ", "barrymore"
        >>> [each.tolist() for each in find_edges(pieces, tokens)]
        [[0, 2, -1], [1, -1, 3]]
    """
    first, end, piece = group_tokens(align(pieces, tokens))
    starts, ends = np.full((2, len(pieces.ids)), -1, dtype=np.intp)
    if not len(piece):
        return starts, ends
    text_end = np.cumsum(pieces.lengths)
    text = np.searchsorted(text_end, piece, side="right")
    is_last = np.append(np.diff(text) > 0, True)
    limit = np.where(is_last, text_end[text], np.append(piece[1:], 0))
    visible = np.flatnonzero(pieces.char_end > pieces.char_start)
    last = np.maximum(visible[np.searchsorted(visible, limit) - 1], piece)
    n_before = (np.cumsum(tokens.lengths) - tokens.lengths)[text]
    starts[piece], ends[last] = first - n_before, end - n_before
    return starts, ends
