"""Pieces and their offsets, over texts of every kind and tokenizers of every kind."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import KINDS, get_official, get_tokenizer, texts
from small_checkpoints import make_byte_level, make_wordpiece
from tokenizers import Tokenizer, decoders, models, processors

from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.tokens import PieceTokenizer, TokenBatch

Piece = tuple[str, int, int]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> PieceTokenizer:
    return get_tokenizer(request.param)


def read_pieces(tokenizer: PieceTokenizer, text: str) -> list[Piece]:
    """List the pieces that stand for characters."""
    official, pieces = get_official(tokenizer), tokenizer.encode([text])
    listed = zip(map(official.id_to_token, pieces.ids), pieces.char_start, pieces.char_end, strict=True)
    return [(piece, int(start), int(end)) for piece, start, end in listed if end > start]


def join_overlapping(pieces: list[Piece]) -> list[tuple[list[str], int, int]]:
    """Join the pieces that share a character: two jamo of one syllable, four bytes of one emoji."""
    runs: list[tuple[list[str], int, int]] = []
    for piece, start, end in pieces:
        if runs and start < runs[-1][2]:
            runs[-1] = ([*runs[-1][0], piece], min(start, runs[-1][1]), max(end, runs[-1][2]))
        else:
            runs.append(([piece], start, end))
    return runs


@given(texts)
def test_offsets_lie_in_the_text_and_leave_whitespace_out(tokenizer: PieceTokenizer, text: str) -> None:
    pieces = tokenizer.encode([text])
    assert ((pieces.char_start >= 0) & (pieces.char_start <= pieces.char_end) & (pieces.char_end <= len(text))).all()
    for _, start, end in read_pieces(tokenizer, text):
        assert text[start:end] == text[start:end].strip()


@pytest.mark.parametrize("tokenizer", ["wordpiece", "minilm"], indirect=True)
@given(texts)
def test_a_word_piece_is_its_characters_normalized(tokenizer: PieceTokenizer, text: str) -> None:
    normalizer = get_official(tokenizer).normalizer
    for run, start, end in join_overlapping(read_pieces(tokenizer, text)):
        if "[UNK]" not in run and "[CLS]" not in run:
            spelled = "".join(piece.removeprefix("##") for piece in run)
            assert spelled == "".join(normalizer.normalize_str(text[start:end]).split())


@pytest.mark.parametrize("tokenizer", ["byte-level", "byte-level, trimmed"], indirect=True)
@given(texts)
def test_a_byte_level_piece_is_its_bytes(tokenizer: PieceTokenizer, text: str) -> None:
    for run, start, end in join_overlapping(read_pieces(tokenizer, text)):
        assert decoders.ByteLevel().decode(run).strip() == text[start:end]


@given(batch=st.lists(texts, max_size=4))
@settings(max_examples=30)
def test_a_batch_answers_as_each_text_alone(tokenizer: PieceTokenizer, batch: list[str]) -> None:
    pieces, alone = tokenizer.encode(batch), [tokenizer.encode([text]) for text in batch]
    assert pieces.lengths.tolist() == [len(each.ids) for each in alone] == tokenizer.count_pieces(batch)
    for name in ("ids", "char_start", "char_end"):
        assert getattr(pieces, name).tolist() == [value for each in alone for value in getattr(each, name).tolist()]


@given(texts)
@settings(max_examples=30)
def test_pieces_are_those_of_the_official_tokenizer(tokenizer: PieceTokenizer, text: str) -> None:
    ids = [*tokenizer.prefix_ids, *tokenizer.encode([text]).ids.tolist(), *tokenizer.suffix_ids]
    assert ids == get_official(tokenizer).encode(text, add_special_tokens=True).ids


def test_stored_padding_and_truncation_are_not_obeyed() -> None:
    stored = make_wordpiece()
    assert len(stored.encode("a " * 30).ids) == 128
    tokenizer = PieceTokenizer(stored.to_str())
    assert tokenizer.encode(["a " * 30, "a"]).lengths.tolist() == tokenizer.count_pieces(["a " * 30, "a"]) == [30, 1]


def test_ten_thousand_words_have_a_piece_each() -> None:
    text = "who starred " * 5_000
    pieces = PieceTokenizer(make_wordpiece().to_str()).encode([text])
    starts = {match.start() for match in re.finditer(r"\w+", text)}
    assert len(starts) == 10_000
    assert starts <= set(pieces.char_start.tolist())


def test_special_pieces_frame_a_window() -> None:
    for make, prefix, suffix in ((make_wordpiece, ["[CLS]"], ["[SEP]"]), (make_byte_level, ["<s>"], ["</s>"])):
        tokenizer = PieceTokenizer(make().to_str())
        ids = [[make().token_to_id(piece) for piece in pieces] for pieces in (prefix, suffix)]
        assert [tokenizer.prefix_ids, tokenizer.suffix_ids] == ids
        assert tokenizer.n_special == 2


def test_special_pieces_are_found_without_the_letter_a() -> None:
    official = Tokenizer(models.BPE({"<s>": 0, "b": 1, "</s>": 2}, []))
    special = [("<s>", 0), ("</s>", 2)]
    official.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=special)
    tokenizer = PieceTokenizer(official.to_str())
    assert len(tokenizer.encode(["a"]).ids) == 0
    assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ([0], [2])


def test_a_copy_is_the_same_tokenizer() -> None:
    tokenizer = PieceTokenizer(make_wordpiece().to_str())
    tokenizer.by_token = True
    copied = copy.deepcopy(tokenizer)
    assert (copied.json, copied.by_token) == (tokenizer.json, True)
    assert copied.encode(["show me"]).ids.tolist() == tokenizer.encode(["show me"]).ids.tolist()


def test_tokens_are_tokenized_one_by_one_with_the_space_before_them() -> None:
    tokenizer = PieceTokenizer(make_byte_level().to_str())
    ranges = [[(0, 2), (2, 3), (4, 6)], [(0, 2)], [], [(0, 1), (1, 2), (3, 4)]]  # "so" "," "do" │ "  " │ │ "a" "\n" "b"
    starts, ends = np.array([pair for pairs in ranges for pair in pairs]).T
    tokens = TokenBatch(starts, ends, np.array([len(pairs) for pairs in ranges]))
    pieces = tokenizer.encode_tokens(["so, do", "  ", "", "a\n b"], tokens)
    words = ["so", ",", " do", "a", " b"]
    alone = tokenizer.encode(words)
    assert pieces.ids.tolist() == alone.ids.tolist()
    bounds = np.repeat([(0, 2), (2, 3), (4, 6), (0, 1), (3, 4)], alone.lengths, axis=0)
    assert np.stack([pieces.char_start, pieces.char_end], axis=1).tolist() == bounds.tolist()
    assert pieces.lengths.tolist() == [alone.lengths[:3].sum(), 0, 0, alone.lengths[3:].sum()]
    nothing = tokenizer.encode_tokens([], TokenBatch(starts[:0], ends[:0], starts[:0]))
    assert [len(each) for each in nothing] == [0, 0, 0, 0]


def test_the_vocabulary_counts_up_to_the_largest_id() -> None:
    official = make_wordpiece()
    assert PieceTokenizer(official.to_str()).vocab_size == official.get_vocab_size()


@pytest.mark.parametrize("method", ["encode", "count_pieces"])
def test_half_of_a_surrogate_pair_is_named(method: str) -> None:
    with pytest.raises(DataError, match=r"text 1 holds '\\ud83d' at character 3"):
        getattr(PieceTokenizer(make_wordpiece().to_str()), method)(["fine", "so \ud83d"])


@pytest.mark.parametrize("json", ["", "{}", "[1]", "\ud83d"])
def test_what_is_no_tokenizer_is_named(json: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        PieceTokenizer(json)


def test_no_whitespace_lies_above_the_ideographic_space() -> None:
    assert not any(chr(code).isspace() for code in range(0x3001, 0x110000))
