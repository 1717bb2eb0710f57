from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spacy_bertft.corpus.gold import GoldSentence
from spacy_bertft.corpus.split import split_sentences
from spacy_bertft.errors import DataError, SettingError


def make_sentences(texts: list[str]) -> list[GoldSentence]:
    # The document number tells copies of a sentence apart.
    return [GoldSentence(text.split(" "), [], [], number) for number, text in enumerate(texts)]


@given(
    st.lists(st.text("ab ", min_size=1, max_size=3), min_size=2, max_size=30),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
def test_no_sentence_in_both_and_all_in_one(texts: list[str], dev: float, seed: int) -> None:
    assume(len(set(texts)) > 1)
    sentences = make_sentences(texts)
    kept, split_off = split_sentences(sentences, dev, seed)
    assert kept
    assert split_off
    assert not {tuple(sentence.words) for sentence in kept} & {tuple(sentence.words) for sentence in split_off}
    assert sorted(kept + split_off, key=lambda sentence: sentence.document) == sentences
    assert [s.document for s in kept] == sorted(s.document for s in kept)
    assert split_sentences(sentences, dev, seed) == (kept, split_off)


@given(st.integers(2, 60), st.floats(0.01, 0.99))
def test_the_share_is_met_where_nothing_repeats(n_sentences: int, dev: float) -> None:
    sentences = make_sentences([str(number) for number in range(n_sentences)])
    _, split_off = split_sentences(sentences, dev)
    assert len(split_off) == min(max(round(dev * n_sentences), 1), n_sentences - 1)


def test_seeds_differ() -> None:
    sentences = make_sentences([str(number) for number in range(100)])
    assert split_sentences(sentences, 0.5, 0) != split_sentences(sentences, 0.5, 1)


@pytest.mark.parametrize("dev", [-0.1, 0.0, 1.0, 7.0])
def test_shares_out_of_range(dev: float) -> None:
    with pytest.raises(SettingError) as caught:
        split_sentences(make_sentences(["a", "b"]), dev)
    assert (caught.value.name, caught.value.value) == ("dev", dev)


def test_copies_of_one_sentence_cannot_be_split() -> None:
    with pytest.raises(DataError, match="1 different sentence"):
        split_sentences(make_sentences(["a", "a"]), 0.5)
