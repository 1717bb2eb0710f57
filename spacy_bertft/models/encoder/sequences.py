"""What windows are laid over: texts, sentences, pairs of texts, questions and their contexts, or choices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.data.endings import find_choices
from spacy_bertft.data.pairs import Segment
from spacy_bertft.data.sentences import find_sentence_starts
from spacy_bertft.errors import DataError, shorten
from spacy_bertft.models.encoder.settings import WindowSize
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, TokenBatch
from spacy_bertft.tokens.alignment import Ints, join_pieces, take_texts
from spacy_bertft.tokens.contexts import ContextRows, ContextWindows, cut_contexts, list_rows, make_no_rows
from spacy_bertft.tokens.pairs import encode_halves, encode_pairs, encode_ranges, fit_halves, list_parts
from spacy_bertft.tokens.windows import WindowLayout, Windows, plan_windows


class Sentences(NamedTuple):
    """What is tokenized where windows are laid over sentences: these, and pairs of texts, which are never cut.

    Attributes:
        texts: `S` texts.
        pairs: For each, the characters of the two texts of a pair; None for a single text.
        doc: `(S,)` the document of each.
        char_start: `(S,)` its first character there.
        n_tokens: `(S,)` how many tokens it has.
        is_text: `(S,)` whether heads for texts read it: not a sentence of whitespace, unless there is no other.
    """

    texts: list[str]
    pairs: list[tuple[Segment, Segment] | None]
    doc: Ints
    char_start: Ints
    n_tokens: Ints
    is_text: NDArray[np.bool_]

    def place_tokens(self, tokens: TokenBatch) -> TokenBatch:
        """Give the tokens of documents their offsets in the texts."""
        base = np.repeat(self.char_start, self.n_tokens)
        return TokenBatch(tokens.char_start - base, tokens.char_end - base, self.n_tokens)

    def place_pieces(self, pieces: PieceBatch, text: Ints) -> PieceBatch:
        """Give pieces their offsets in the documents; `text` has the text of each of their ranges."""
        base = np.repeat(self.char_start[text], pieces.lengths)
        return pieces._replace(char_start=pieces.char_start + base, char_end=pieces.char_end + base)

    def join_sequences(self, cut: Sequences, n_docs: int) -> Sequences:
        """Make sequences over texts sequences over `n_docs` documents."""
        return cut._replace(
            doc=self.doc[cut.doc],
            is_text=cut.is_text & self.is_text[cut.doc],
            n_lost=np.bincount(self.doc, cut.n_lost, minlength=n_docs).astype(np.intp),
            asked_doc=self.doc[cut.asked_doc],
        )


def cut_sentences(docs: list[Doc], pairs: list[tuple[Segment, Segment] | None]) -> Sentences:
    """Cut documents into sentences; a pair is never cut.

    Args:
        docs: The documents.
        pairs: For each, the characters of the two texts of a pair; None for a single text.

    Raises:
        DataError: A document has no sentence boundaries.
    """
    rows: list[tuple[str, tuple[Segment, Segment] | None, int, int, int]] = []
    for index, (doc, pair) in enumerate(zip(docs, pairs, strict=True)):
        if pair:
            rows.append((doc.text, pair, index, 0, len(doc)))
            continue
        starts = find_sentence_starts(doc)
        if starts is None:
            raise DataError(
                f'windows_over = "sentences", but {shorten(repr(doc.text), 60)} has no sentence boundaries. Put a '
                "sentencizer or senter into the pipeline, before the component that reads it; and to train, also into "
                "training.annotating_components."
            )
        sentences = [doc[start:end] for start, end in pairwise([*starts, len(doc)])]
        rows += [(each.text, None, index, each.start_char, len(each)) for each in sentences]
    doc_index, char_start, n_tokens = np.array([row[2:] for row in rows], dtype=np.intp).reshape(-1, 3).T
    has_words = np.array([not row[0].isspace() for row in rows], dtype=np.bool_)
    is_text = has_words | (np.bincount(doc_index, has_words, minlength=len(docs)) == 0)[doc_index]
    return Sentences([row[0] for row in rows], [row[1] for row in rows], doc_index, char_start, n_tokens, is_text)


class Sequences(NamedTuple):
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


def find_asked(
    cut: Sequences, tokens: TokenBatch, n_docs: int, tokenizer: PieceTokenizer, windows: Windows
) -> tuple[ContextRows, Ints, Ints]:
    """Find what answers are read from: the rows, and the window and the column there of each.

    Args:
        cut: The sequences.
        tokens: The tokens of the documents in `cut.asked_doc`.
        n_docs: How many documents there are.
        tokenizer: The tokenizer of the encoder.
        windows: The windows over the sequences.
    """
    rows, none = make_no_rows(n_docs), np.zeros(0, dtype=np.intp)
    if cut.asked is None:
        return rows, none, none
    found, window, column = list_rows(cut.asked, tokens, len(tokenizer.prefix_ids), len(tokenizer.middle_ids))
    for each, of_asked in zip(rows[3:], found[3:], strict=True):
        each[cut.asked_doc] = of_asked
    return ContextRows(*found[:3], *rows[3:]), np.searchsorted(windows.sequence, cut.by_asked)[window], column


def cut_pairs(
    texts: list[str],
    pairs: list[tuple[Segment, Segment] | None],
    tokenizer: PieceTokenizer,
    window: WindowSize,
    wanted: Wanted,
    tokens: TokenBatch | None,
) -> Sequences:
    """Cut single texts and pairs; the tokens of a pair that one window does not hold are aligned with its parts.

    Args:
        texts: The texts.
        pairs: For each, the characters of the two texts of a pair; None for a single text.
        tokenizer: Cuts the texts.
        window: How long a window is.
        wanted: What heads read.
        tokens: The tokens of the texts, to be tokenized one by one.
    """
    size = max(0, window.size - len(tokenizer.middle_ids))
    halves = encode_halves(tokenizer, texts, pairs, tokens)
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
    in_parts = encode_ranges(tokenizer, texts, ranges, tokens)
    n_question = asked.n_question[asked.windows.sequence[more]]
    return Sequences(
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


def plan_choices(docs: list[Doc], tokenizer: PieceTokenizer, window: WindowSize) -> tuple[WindowLayout, Ints]:
    """Pair the prompt of each document with each of its endings, one window each.

    Args:
        docs: The documents; those that are no choices have no window.
        tokenizer: The tokenizer of the encoder.
        window: How long a window is.

    Returns:
        The windows, `C` in all, and `(B, 2)` how many each document has, and how many of them are cut.
    """
    texts = [doc.text for doc in docs]
    choices = [find_choices(text) for text in texts]
    pairs = [pair for each in choices for pair in each]
    lengths = np.array([len(each) for each in choices], dtype=np.intp)
    doc = np.repeat(np.arange(len(docs)), lengths)  # (C,)
    size = max(0, window.size - len(tokenizer.middle_ids))
    pieces, first_lengths, n_lost = encode_pairs(tokenizer, [texts[index] for index in doc.tolist()], pairs, size)
    n_cut = np.bincount(doc[n_lost > 0], minlength=len(docs))
    layout = WindowLayout(pieces, plan_windows(pieces.lengths, *window), first_lengths, tokenizer)
    return layout, np.stack([lengths, n_cut], axis=1)
