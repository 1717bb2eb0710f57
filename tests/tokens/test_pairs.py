"""Pairs lose what does not fit as tokenizers' own truncation does, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import make_byte_level, make_word_level, make_wordpiece

from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.pairs import Range, encode_pairs, fit_pair

LETTERS = "abcdefghijklmnopqrst"
OFFICIAL = make_word_level()
TOKENIZER = PieceTokenizer(OFFICIAL.to_str())
counts = st.integers(0, 20)
BIG = 1000


def spell(n_pieces: int) -> str:
    return " ".join(LETTERS[:n_pieces])


def join(first: str, second: str, between: str = "|") -> tuple[str, tuple[Range, Range]]:
    """Put two texts into one string, and say where they stand."""
    start = len(first) + len(between)
    return first + between + second, ((0, len(first)), (start, start + len(second)))


@given(counts, counts, st.integers(1, 45))
def test_pairs_are_cut_as_by_tokenizers(n_first: int, n_second: int, size: int) -> None:
    OFFICIAL.enable_truncation(max_length=size, strategy="longest_first")
    encoding = OFFICIAL.encode(spell(n_first), spell(n_second), add_special_tokens=False)
    expected = [encoding.sequence_ids.count(0), encoding.sequence_ids.count(1)]
    kept = fit_pair(np.array([n_first]), np.array([n_second]), size)
    assert [int(each[0]) for each in kept] == expected


@given(st.lists(st.tuples(counts, counts), max_size=5), st.integers(0, 45))
def test_what_fits_is_whole_and_what_does_not_fills_the_size(pairs: list[tuple[int, int]], size: int) -> None:
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    kept_first, kept_second = fit_pair(first, second, size)
    assert (kept_first <= first).all()
    assert (kept_second <= second).all()
    assert (kept_first + kept_second == np.minimum(first + second, size)).all()


@given(st.lists(st.tuples(counts, st.none() | counts), max_size=6))
def test_the_halves_stand_side_by_side(lengths: list[tuple[int, int | None]]) -> None:
    """Singles and pairs in any order, by the ids that every letter has."""
    parts = [(spell(n_first), None if n_second is None else spell(n_second)) for n_first, n_second in lengths]
    texts, ranges = [], []
    for first, second in parts:
        text, pair = (first, None) if second is None else join(first, second)
        texts.append(text)
        ranges.append(pair)
    pieces, first_lengths, n_lost = encode_pairs(TOKENIZER, texts, ranges, BIG)
    assert not n_lost.any()
    halves = [half for pair in parts for half in pair if half is not None]
    assert pieces.ids.tolist() == TOKENIZER.encode(halves).ids.tolist()
    assert pieces.lengths.tolist() == [n_first + (n_second or 0) for n_first, n_second in lengths]
    assert first_lengths.tolist() == [-1 if n_second is None else n_first for n_first, n_second in lengths]


@pytest.mark.parametrize("make", [make_wordpiece, make_byte_level])
def test_offsets_point_into_the_whole_text(make) -> None:
    tokenizer = PieceTokenizer(make().to_str())
    first, second = "who starred   in it?", "drew  barrymore"
    text, pair = join(first, second, between=" \x1f ")
    pieces, first_lengths, _ = encode_pairs(tokenizer, [text, first], [pair, None], BIG)
    spans = [text[start:end] for start, end in zip(pieces.char_start, pieces.char_end, strict=True)]
    n_pair, n_first = pieces.lengths[0], first_lengths[0]
    assert "".join(spans[:n_first]) == first.replace(" ", "")
    assert "".join(spans[n_first:n_pair]) == second.replace(" ", "")
    assert spans[n_pair:] == spans[:n_first]


def test_offsets_of_what_stays_belong_to_it() -> None:
    text, pair = join("a b c d e f", "g h i j")
    pieces, first_lengths, n_lost = encode_pairs(TOKENIZER, [text, "k l m n o p"], [pair, None], 5)
    spans = [text[start:end] for start, end in zip(pieces.char_start[:5], pieces.char_end[:5], strict=True)]
    assert spans == ["a", "b", "c", "g", "h"]
    assert pieces.lengths.tolist() == [5, 6]  # windows cover a single text, however long
    assert first_lengths.tolist() == [3, -1]
    assert n_lost.tolist() == [5, 0]


def test_empty_halves_and_no_room_at_all() -> None:
    texts, pairs = zip(join("", "a b"), join("a", ""), join("", ""), strict=True)
    pieces, first_lengths, n_lost = encode_pairs(TOKENIZER, texts, pairs, BIG)
    assert pieces.lengths.tolist() == [2, 1, 0]
    assert first_lengths.tolist() == [0, 1, 0]
    assert n_lost.tolist() == [0, 0, 0]
    pieces, first_lengths, n_lost = encode_pairs(TOKENIZER, texts, pairs, 0)
    assert pieces.lengths.tolist() == first_lengths.tolist() == [0, 0, 0]
    assert n_lost.tolist() == [2, 1, 0]


@pytest.mark.parametrize(("family", "middle_ids", "second_type"), [("bert", [2], 1), ("roberta", [2, 2], 0)])
def test_what_stands_between_two_texts(family: str, middle_ids: list[int], second_type: int) -> None:
    tokenizer = PieceTokenizer(make_word_level(family).to_str())
    assert (tokenizer.prefix_ids, tokenizer.middle_ids, tokenizer.suffix_ids) == ([1], middle_ids, [2])
    assert tokenizer.second_type == second_type
    assert tokenizer.n_special + len(tokenizer.middle_ids) == 2 + len(middle_ids)


def test_a_tokenizer_that_knows_no_pairs_is_read_as_of_bert() -> None:
    tokenizer = PieceTokenizer(make_wordpiece().to_str())
    assert tokenizer.middle_ids == tokenizer.suffix_ids == [3]
    assert tokenizer.second_type == 1
