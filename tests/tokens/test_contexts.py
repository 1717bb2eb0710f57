"""Windows over contexts hold the whole question; tokens begin and end where their pieces do."""

from __future__ import annotations

import numpy as np
import spacy
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import TEXTS, find_first_pieces, make_unigram, make_wordpiece
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bertft.models.encoder.forward import read_tokens
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.alignment import PieceBatch
from spacy_bertft.tokens.contexts import cut_contexts, find_edges, list_rows
from spacy_bertft.tokens.tokenizer import trim_pieces

lengths = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=4)


def make_halves(pairs: list[tuple[int, int]]) -> PieceBatch:
    counts = np.array(pairs, dtype=np.intp).ravel()
    ids = np.arange(counts.sum())
    start = ids - np.repeat(np.cumsum(counts) - counts, counts)
    return PieceBatch(ids, start, start + 1, counts)


@given(lengths, st.integers(2, 25), st.integers(0, 12))
def test_every_window_has_the_question_and_all_of_the_context_is_in_windows(pairs, size, overlap):
    halves, second = make_halves(pairs), np.arange(len(pairs)) * 2 + 1
    cut = cut_contexts(halves, second, size, overlap)
    taken = cut.take_pieces(np.arange(len(cut.windows.sequence)))
    windows = np.split(taken.ids, np.cumsum(taken.lengths)[:-1])
    texts = np.split(halves.ids, np.cumsum(halves.lengths)[:-1])
    for number, (n_question, n_context) in enumerate(pairs):
        question, context = texts[2 * number], texts[2 * number + 1]
        mine = [window for window, pair in zip(windows, cut.windows.sequence, strict=True) if pair == number]
        n_kept = int(cut.n_question[number])
        assert n_kept == (n_question if n_question + n_context <= size else min(n_question, size // 2))
        assert all(len(window) <= size and (window[:n_kept] == question[:n_kept]).all() for window in mine)
        assert len(mine) == 1 or n_question + n_context > size
        seen = [set(window[n_kept:].tolist()) for window in mine]
        assert set().union(*seen) == set(context.tolist())
        # What is no longer than the overlap is whole in a window.
        shared = min(overlap, (size - n_kept) // 2)
        for start in range(n_context - shared + 1):
            assert any(set(context[start : start + shared].tolist()) <= each for each in seen)


def test_a_token_ends_with_its_last_piece():
    """Of pieces that do not cross tokens, also where a text has spaces and a token no piece."""
    nlp = spacy.blank("en")
    for tokenizer in (PieceTokenizer(make_wordpiece().to_str()), PieceTokenizer(make_unigram().to_str())):
        docs = [nlp(text) for text in (TEXTS[0], f"{TEXTS[2]}  \n ".replace("don't", "never"), "", TEXTS[4])]
        pieces = tokenizer.encode([doc.text for doc in docs])
        starts, ends = find_edges(pieces, read_tokens(docs))
        first = 0
        for doc, n_pieces in zip(docs, pieces.lengths.tolist(), strict=True):
            here = slice(first, first + n_pieces)
            mine = PieceBatch(pieces.ids[here], pieces.char_start[here], pieces.char_end[here], np.array([n_pieces]))
            first += n_pieces
            words = [token for token in doc if not token.is_space]
            if not words:
                continue
            expected = find_first_pieces(mine, words)
            assert np.flatnonzero(starts[here] >= 0).tolist() == sorted(set(expected))
            spans = list(zip(mine.char_start.tolist(), mine.char_end.tolist(), strict=True))
            for token in words:
                [last] = [i for i, end in enumerate(ends[here].tolist()) if end == token.i + 1]
                assert last == max(
                    i
                    for i, (start, end) in enumerate(spans)
                    if token.idx < end <= token.idx + len(token) and end > start
                )


def test_the_rows_are_the_pieces_with_which_tokens_begin_or_end():
    nlp, tokenizer = spacy.blank("en"), PieceTokenizer(make_wordpiece().to_str())
    doc = nlp("godfather directed it")
    pieces = tokenizer.encode(["who", doc.text])
    cut = cut_contexts(pieces, np.array([1]), 100, 10)
    rows, window, column = list_rows(cut, read_tokens([doc]), n_opening=1, n_middle=1)
    starts, ends = find_edges(trim_pieces(tokenizer.encode([doc.text]), [doc.text]), read_tokens([doc]))
    edges = [(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if max(start, end) >= 0]
    assert list(zip(rows.token_start.tolist(), rows.token_end.tolist(), strict=True)) == [(-1, -1), *edges]
    assert (window == 0).all()
    assert column[0] == 0
    assert column[1] == 1 + int(pieces.lengths[0]) + 1
    assert rows.lengths.tolist() == [len(column)]


def test_a_piece_across_two_tokens_is_of_the_one_that_it_begins_in():
    """The pieces "don", "'" and "t" of the tokens "do" and "n't": the second one begins with the apostrophe."""
    pieces = PieceBatch(np.arange(3), np.array([0, 3, 4]), np.array([3, 4, 5]), np.array([3]))
    starts, ends = find_edges(pieces, read_tokens([Doc(Vocab(), words=["do", "n't"], spaces=[False, False])]))
    assert starts.tolist() == [0, 1, -1]
    assert ends.tolist() == [1, -1, 2]
