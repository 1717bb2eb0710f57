"""Plans of batches: every token with a piece is in a window; to heads for texts, a pair is one window."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import make_word_level, make_wordpiece
from spacy.tokens import Doc, SpanGroup

from spacy_bertft.data.pairs import SEGMENTS, make_pair
from spacy_bertft.models.encoder.forward import EncodingPlan, plan_encoding
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.pairs import list_parts

NLP = spacy.blank("en")
TOKENIZER = PieceTokenizer(make_word_level().to_str())  # a piece for each letter from a to t
words = st.lists(st.sampled_from("abcdefghijklmnopqrst"), max_size=12)
cuts = st.none() | st.lists(st.integers(0, 12), min_size=4, max_size=4).map(sorted)


def make_doc(letters: list[str], cut: list[int] | None) -> Doc:
    """Make a single text, or a pair whose texts may be empty and have something around them."""
    doc = Doc(NLP.vocab, words=letters)
    if cut is not None and letters:
        first, second = ([min(edge, len(letters)) for edge in edges] for edges in (cut[:2], cut[2:]))
        doc.spans[SEGMENTS] = SpanGroup(doc, spans=[doc[slice(*first)], doc[slice(*second)]])
    return doc


def plan(docs: list[Doc], size: int = 6, **wanted: bool) -> EncodingPlan:
    return plan_encoding(docs, TOKENIZER, size, max(1, size - 2), **({"has_tokens": True} | wanted))


def read_text_windows(found: EncodingPlan) -> list[list[int]]:
    """List the ids in each window that heads for texts read."""
    rows = []
    for window in found.text_window.tolist():
        padded = found.layout.pad(np.array([window]), 99)
        rows.append(padded.ids[0].tolist() + padded.types[0].tolist())
    return rows


@given(st.lists(st.tuples(words, cuts), max_size=5), st.integers(2, 8), st.booleans())
def test_every_token_is_read_in_a_window_that_has_it(texts, size: int, has_texts: bool) -> None:
    docs = [make_doc(*text) for text in texts]
    found = plan(docs, size, has_texts=has_texts)
    assert found.token_index.tolist() == list(range(sum(len(doc) for doc in docs)))
    assert found.lengths.tolist() == [len(doc) for doc in docs]
    letters = [token.text for doc in docs for token in doc]
    ids = found.layout.pieces.ids[found.token_piece]
    assert ids.tolist() == [ord(letter) - ord("a") + 3 for letter in letters]
    owner = found.layout.windows.find_owners(found.token_piece)
    column = found.layout.find_columns(found.token_piece, owner)
    for row, window in enumerate(owner.tolist()):
        assert found.layout.pad(np.array([window]), 99).ids[0, column[row]] == ids[row]
    assert (found.layout.lengths <= size + TOKENIZER.n_special).all()


@given(st.lists(st.tuples(words, cuts), max_size=5), st.integers(2, 8))
def test_heads_for_texts_read_the_same_both_heads_for_tokens(texts, size: int) -> None:
    docs = [make_doc(*text) for text in texts]
    alone, both = plan(docs, size, has_tokens=False), plan(docs, size)
    assert read_text_windows(alone) == read_text_windows(both)
    assert alone.window_doc.tolist() == both.window_doc.tolist()
    assert alone.n_lost.tolist() == both.n_lost.tolist()
    assert not plan(docs, size, has_texts=False).n_lost.any()
    n_windows = np.bincount(both.window_doc, minlength=len(docs))
    assert all(n == 1 for n, doc in zip(n_windows, docs, strict=True) if SEGMENTS in doc.spans)


def test_a_pair_that_does_not_fit_by_hand():
    """`a b c d` and `e f g` in windows of 4: cut to `a b` and `e` next to `[SEP]`; for tokens, windows over each."""
    pair = make_pair(NLP, "a b c d e", "f g h")
    found = plan([NLP.make_doc("t"), pair, NLP.make_doc("s")], 4)
    windows = [found.layout.pad(np.array([number]), 99).ids[0].tolist() for number in range(6)]
    assert windows == [
        [1, 22, 2],
        [1, 3, 4, 5, 6, 2],
        [1, 4, 5, 6, 7, 2],
        [1, 8, 9, 10, 2],
        [1, 21, 2],
        [1, 3, 4, 2, 8, 2],
    ]
    assert found.text_window.tolist() == [0, 5, 4]
    assert found.window_doc.tolist() == [0, 1, 2]
    assert found.n_lost.tolist() == [0, 5, 0]
    assert found.token_piece.tolist() == list(range(10))
    assert found.token_index.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10]  # 6 is U+001F


def test_a_pair_that_fits_is_one_window_for_all():
    found = plan([make_pair(NLP, "a b", "c d")], 5)
    assert len(found.layout.lengths) == 1
    assert found.layout.pad(np.array([0]), 99).ids.tolist() == [[1, 3, 4, 2, 5, 6, 2]]


@pytest.mark.parametrize("size", [4, 40])
def test_a_unit_separator_in_a_text_is_nothing_special(size):
    """Before, the text was a pair and lost all that did not fit one window."""
    tokenizer = PieceTokenizer(make_wordpiece().to_str())
    text = "who directed the godfather, \x1f and who starred in it? " + "films " * 30
    docs = [NLP.make_doc(text), NLP.make_doc(text.replace("\x1f", " "))]
    with_it, without = (plan_encoding([doc], tokenizer, size, size - 2, has_tokens=True) for doc in docs)
    assert with_it.layout.pieces.ids.tolist() == without.layout.pieces.ids.tolist()
    words = [token.i for token in docs[0] if not token.is_space]
    assert with_it.token_index.tolist() == words


def test_parts_of_a_text_with_nothing_around():
    assert list_parts("a\x1fb", ((0, 1), (2, 3))) == [(0, 1), (2, 3)]
    assert list_parts(" \x1fb ", ((0, 1), (2, 4))) == [(2, 4)]


@pytest.mark.parametrize("size", [4, 40])
def test_a_text_tokenized_by_token_among_pairs_is_as_alone(size):
    """Before, the pairs of a batch had its single texts tokenized as a whole."""
    tokenizer = PieceTokenizer(make_wordpiece().to_str())
    tokenizer.by_token = True
    words = ["show", "filmsby", "who", "direct", "ed"]
    whole, single = Doc(NLP.vocab, words=words, spaces=[False] * 5), NLP.make_doc("who directed it")
    pair = Doc(NLP.vocab, words=[*words, "\x1f", *words], spaces=[False] * 11)
    pair.spans[SEGMENTS] = SpanGroup(pair, spans=[pair[:5], pair[6:]])
    alone, among = (
        plan_encoding(docs, tokenizer, size, size - 2, has_tokens=True) for docs in ([whole], [single, pair, whole])
    )
    n_pieces = int(alone.pieces.lengths[0])
    assert among.pieces.ids[-n_pieces:].tolist() == alone.pieces.ids.tolist()
    of_pair = among.pieces.ids[among.pieces.lengths[0] :][: 2 * n_pieces]
    assert of_pair.tolist() == alone.pieces.ids.tolist() * 2
