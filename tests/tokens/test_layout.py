"""Padded windows, by hand and against tokenizers' own encoding of single texts and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import make_word_level
from tokenizers import Tokenizer, models, pre_tokenizers

from spacy_bertft.tokens import PieceTokenizer, WindowLayout, plan_windows
from spacy_bertft.tokens.pairs import encode_pairs

OFFICIAL = {family: make_word_level(family) for family in ("bert", "roberta")}
TOKENIZERS = {family: PieceTokenizer(official.to_str()) for family, official in OFFICIAL.items()}
PAD = 99  # an id that no piece has

words = st.lists(st.sampled_from("abcdefghijklmnopqrst"), max_size=6).map(" ".join)
texts = st.lists(st.tuples(words, st.none() | words), min_size=1, max_size=5)
Texts = list[tuple[str, str | None]]


def lay_out(tokenizer: PieceTokenizer, texts: Texts, size: int = 100, stride: int = 100) -> WindowLayout:
    """Plan the windows over single texts and pairs, as a batch of documents would."""
    joined = [first if second is None else f"{first}|{second}" for first, second in texts]
    ranges = [
        None if second is None else ((0, len(first)), (len(first) + 1, len(text)))
        for text, (first, second) in zip(joined, texts, strict=True)
    ]
    pieces, first_lengths, _ = encode_pairs(tokenizer, joined, ranges, size - len(tokenizer.middle_ids))
    windows = plan_windows(pieces.lengths, size, stride)
    return WindowLayout(pieces, windows, first_lengths[windows.sequence], tokenizer)


def test_bert_by_hand():
    layout = lay_out(TOKENIZERS["bert"], [("a b c d", None), ("a", "b c"), ("", None)])
    padded = layout.pad(np.arange(3), PAD)
    assert layout.lengths.tolist() == [6, 6, 2]
    assert padded.ids.tolist() == [[1, 3, 4, 5, 6, 2], [1, 3, 2, 4, 5, 2], [1, 2, PAD, PAD, PAD, PAD]]
    assert padded.mask.tolist() == [[1] * 6, [1] * 6, [1, 1, 0, 0, 0, 0]]
    assert padded.types.tolist() == [[0] * 6, [0, 0, 0, 1, 1, 1], [0] * 6]
    assert layout.find_columns(np.arange(7), np.array([0, 0, 0, 0, 1, 1, 1])).tolist() == [1, 2, 3, 4, 1, 3, 4]


def test_roberta_by_hand():
    layout = lay_out(TOKENIZERS["roberta"], [("a b", None), ("a b", "c"), ("", "d")])
    padded = layout.pad(np.array([1, 0, 2]), PAD)  # a bucket has an order of its own
    assert padded.ids.tolist() == [[1, 3, 4, 2, 2, 5, 2], [1, 3, 4, 2, PAD, PAD, PAD], [1, 2, 2, 6, 2, PAD, PAD]]
    assert padded.mask.sum(axis=1).tolist() == [7, 4, 5]
    assert not padded.types.any()
    assert layout.find_columns(np.array([0, 2, 4, 5]), np.array([0, 1, 1, 2])).tolist() == [1, 1, 5, 3]


def test_a_bucket_is_as_wide_as_its_own_longest_window():
    layout = lay_out(TOKENIZERS["bert"], [("a b c d e f", None), ("a", None), ("b", "c")])
    assert layout.pad(np.array([1]), PAD).ids.tolist() == [[1, 3, 2]]
    assert layout.pad(np.array([2, 1]), PAD).ids.shape == (2, 5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@given(texts=texts)
def test_windows_are_what_tokenizers_would_encode(family: str, texts: Texts) -> None:
    padded = lay_out(TOKENIZERS[family], texts).pad(np.arange(len(texts)), PAD)
    for row, (first, second) in enumerate(texts):
        encoding = OFFICIAL[family].encode(first, second) if second is not None else OFFICIAL[family].encode(first)
        is_piece = padded.mask[row] == 1
        assert padded.ids[row][is_piece].tolist() == encoding.ids
        assert padded.types[row][is_piece].tolist() == encoding.type_ids
        assert (padded.ids[row][~is_piece] == PAD).all()
        assert not padded.types[row][~is_piece].any()


@pytest.mark.parametrize("family", ["bert", "roberta"])
@given(texts=texts, data=st.data())
def test_every_piece_stands_in_its_column(family: str, texts: Texts, data: st.DataObject) -> None:
    size = data.draw(st.integers(14, 20) if any(second is not None for _, second in texts) else st.integers(1, 4))
    layout = lay_out(TOKENIZERS[family], texts, size, data.draw(st.integers(1, size)))
    bucket = np.array(data.draw(st.permutations(range(len(layout.first_lengths)))))
    padded = layout.pad(bucket, PAD)
    for row, window in enumerate(bucket):
        mine = np.arange(layout.windows.piece_start[window], layout.windows.piece_end[window])
        column = layout.find_columns(mine, np.full(len(mine), window))
        assert padded.ids[row, column].tolist() == layout.pieces.ids[mine].tolist()
        assert padded.mask[row, column].all()
        assert padded.mask[row].sum() == layout.lengths[window]
        others = np.delete(padded.ids[row], column)
        assert set(others.tolist()) <= {1, 2, PAD}


def test_a_tokenizer_without_special_pieces():
    """A window of nothing is run all the same, so that every document has one."""
    bare = Tokenizer(models.WordLevel({"?": 0, "a": 1, "b": 2}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    layout = lay_out(PieceTokenizer(bare.to_str()), [("a b", None), ("", None), ("b", "a")])
    padded = layout.pad(np.arange(3), PAD)
    assert padded.ids.tolist() == [[1, 2], [PAD, PAD], [2, 1]]
    assert padded.mask.tolist() == [[1, 1], [1, 0], [1, 1]]
    assert padded.types.tolist() == [[0, 0], [0, 0], [0, 1]]
