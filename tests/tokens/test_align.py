"""Tokens find their pieces: by definition, and in real texts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import KINDS, cut_like_spacy, get_official, get_tokenizer, make_tokens, texts

from spacy_bertft.tokens import PieceBatch, PieceTokenizer, align

Range = tuple[int, int]
ranges = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))
cuts = st.lists(st.booleans(), min_size=12, max_size=12)


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> PieceTokenizer:
    return get_tokenizer(request.param)


def find_piece(pieces: list[Range], token: Range) -> int:
    """Find the piece of a token, as `align` defines it."""
    visible = sorted((start, index) for index, (start, end) in enumerate(pieces) if end > start)
    inside = [index for start, index in visible if token[0] <= start < token[1]]
    across = [index for start, index in visible if start < token[0] < pieces[index][1]]
    return (inside or across or [-1])[0]


def cut_randomly(text: str, is_cut: list[bool]) -> list[Range]:
    bounds = [0, *(at for at in range(1, len(text)) if is_cut[at % len(is_cut)]), len(text)]
    return list(pairwise(bounds)) if text else []


def align_texts(tokenizer: PieceTokenizer, batch: list[str], tokens: list[list[Range]]) -> list[int]:
    return align(tokenizer.encode(batch), make_tokens(tokens)).tolist()


@given(st.lists(st.tuples(st.lists(ranges, max_size=5), cuts), max_size=3))
@settings(max_examples=300)
def test_a_token_gets_the_first_piece_inside_or_else_across(batch: list[tuple[list[Range], list[bool]]]) -> None:
    tokens = [cut_randomly("x" * 12, is_cut) for _, is_cut in batch]
    flat = np.array([pair for pieces, _ in batch for pair in pieces], dtype=np.intp).reshape(-1, 2)
    lengths = np.array([len(pieces) for pieces, _ in batch], dtype=np.intp)
    expected, base = [], 0
    for (pieces, _), own_tokens in zip(batch, tokens, strict=True):
        found = [find_piece(pieces, token) for token in own_tokens]
        expected += [base + index if index >= 0 else -1 for index in found]
        base += len(pieces)
    pieces = PieceBatch(np.arange(len(flat)), flat[:, 0], flat[:, 1], lengths)
    assert align(pieces, make_tokens(tokens)).tolist() == expected


@given(text=texts, is_cut=cuts)
def test_a_token_with_a_letter_or_digit_has_a_piece(tokenizer: PieceTokenizer, text: str, is_cut: list[bool]) -> None:
    """An unknown word has the unknown piece. Only what the normalizer deletes has none.

    BERT's normalizer deletes characters without a category in its own Unicode tables, which are older than Python's.
    """
    normalizer = get_official(tokenizer).normalizer
    for tokens in (cut_like_spacy(text), cut_randomly(text, is_cut)):
        for (start, end), piece in zip(tokens, align_texts(tokenizer, [text], [tokens]), strict=True):
            token = text[start:end]
            is_kept = normalizer is None or normalizer.normalize_str(token).strip()
            if is_kept and any(char.isalnum() for char in token):
                assert piece >= 0


@given(texts)
def test_a_token_of_whitespace_has_no_piece(tokenizer: PieceTokenizer, text: str) -> None:
    """Unless it is in the middle of one: `a\\x85b` is one word to a tokenizer that deletes control characters."""
    tokens, pieces = cut_like_spacy(text), tokenizer.encode([text])
    for (start, end), piece in zip(tokens, align_texts(tokenizer, [text], [tokens]), strict=True):
        if text[start:end].isspace():
            assert piece < 0 or pieces.char_start[piece] < start < end < pieces.char_end[piece]


@given(batch=st.lists(texts, max_size=4))
@settings(max_examples=30)
def test_a_batch_answers_as_each_text_alone(tokenizer: PieceTokenizer, batch: list[str]) -> None:
    tokens = [cut_like_spacy(text) for text in batch]
    expected, base = [], 0
    for text, own_tokens in zip(batch, tokens, strict=True):
        expected += [base + piece if piece >= 0 else -1 for piece in align_texts(tokenizer, [text], [own_tokens])]
        base += len(tokenizer.encode([text]).ids)
    assert align_texts(tokenizer, batch, tokens) == expected


def test_tokens_inside_one_piece_share_it() -> None:
    text = "x" * 120  # longer than a word may be: one unknown piece
    assert align_texts(get_tokenizer("wordpiece"), [text], [[(0, 40), (40, 80), (80, 120)]]) == [0, 0, 0]


def test_an_empty_text_between_two_others_shifts_nothing() -> None:
    batch = ["show me", "", "films"]
    pieces = get_tokenizer("wordpiece").encode(batch)
    found = align(pieces, make_tokens([[(0, 4), (4, 5), (5, 7)], [], [(0, 5)]]))
    assert found[[0, 1, 3]].tolist() == [0, -1, pieces.lengths[0]]
