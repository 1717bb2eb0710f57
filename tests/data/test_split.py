from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.data.split import split_at_random
from spacy_bertft.errors import DataError, SettingError


def make_sentences(texts: list[str]) -> list[GoldSentence]:
    # The document number tells copies of a sentence apart.
    return [GoldSentence(text.split(" "), [], [], number) for number, text in enumerate(texts)]


def split_sentences(sentences: list[GoldSentence], shares: dict[str, float], seed: int = 0) -> list[list[GoldSentence]]:
    parts = split_at_random((" ".join(sentence.words) for sentence in sentences), shares, seed)
    return [
        [sentence for sentence, part in zip(sentences, parts, strict=True) if part == number]
        for number in range(1 + len(shares))
    ]


@given(
    st.lists(st.text("ab ", min_size=1, max_size=3), min_size=2, max_size=30),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
def test_no_sentence_in_both_and_all_in_one(texts: list[str], dev: float, seed: int) -> None:
    assume(len(set(texts)) > 1)
    sentences = make_sentences(texts)
    kept, split_off = split_sentences(sentences, {"dev": dev}, seed)
    assert kept
    assert split_off
    assert not {tuple(sentence.words) for sentence in kept} & {tuple(sentence.words) for sentence in split_off}
    assert sorted(kept + split_off, key=lambda sentence: sentence.document) == sentences
    assert [s.document for s in kept] == sorted(s.document for s in kept)
    assert split_sentences(sentences, {"dev": dev}, seed) == [kept, split_off]


@given(st.integers(2, 60), st.floats(0.01, 0.99))
def test_the_share_is_met_where_nothing_repeats(n_sentences: int, dev: float) -> None:
    sentences = make_sentences([str(number) for number in range(n_sentences)])
    _, split_off = split_sentences(sentences, {"dev": dev})
    assert len(split_off) == min(max(round(dev * n_sentences), 1), n_sentences - 1)


def test_seeds_differ() -> None:
    sentences = make_sentences([str(number) for number in range(100)])
    assert split_sentences(sentences, {"dev": 0.5}, 0) != split_sentences(sentences, {"dev": 0.5}, 1)


@pytest.mark.parametrize("dev", [-0.1, 0.0, 1.0, 7.0])
def test_shares_out_of_range(dev: float) -> None:
    with pytest.raises(SettingError) as caught:
        split_sentences(make_sentences(["a", "b"]), {"dev": dev})
    assert (caught.value.name, caught.value.value) == ("dev", dev)


def test_copies_of_one_sentence_cannot_be_split() -> None:
    with pytest.raises(DataError, match="into 2 parts: 1 different text in"):
        split_sentences(make_sentences(["a", "a"]), {"dev": 0.5})


@given(
    st.lists(st.text("abc ", min_size=1, max_size=3), min_size=3, max_size=30),
    st.floats(0.01, 0.49),
    st.floats(0.01, 0.49),
)
def test_three_parts_share_nothing_and_lose_nothing(texts: list[str], test: float, dev: float) -> None:
    assume(len(set(texts)) > 2)
    sentences = make_sentences(texts)
    parts = split_sentences(sentences, {"test": test, "dev": dev})
    assert all(parts)
    assert sorted(chain.from_iterable(parts), key=lambda sentence: sentence.document) == sentences
    different = [{tuple(sentence.words) for sentence in part} for part in parts]
    assert sum(map(len, different)) == len(set(texts))


@given(st.integers(3, 60), st.floats(0.01, 0.49), st.floats(0.01, 0.49))
def test_shares_are_of_the_whole(n_sentences: int, test: float, dev: float) -> None:
    sentences = make_sentences([str(number) for number in range(n_sentences)])
    rest, *split_off = split_sentences(sentences, {"test": test, "dev": dev})
    wanted = [max(round(share * n_sentences), 1) for share in (test, dev)]
    # Two shares that are both rounded up leave one sentence less.
    assert [abs(len(part) - n) <= (len(rest) == 1) for part, n in zip(split_off, wanted, strict=True)] == [True, True]


def test_shares_that_leave_nothing() -> None:
    with pytest.raises(SettingError, match="with the others") as caught:
        split_sentences(make_sentences(["a", "b", "c"]), {"test": 0.5, "dev": 0.5})
    assert caught.value.name == "dev"
