"""Texts in windows, of which pieces are hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import TEXTS, make_byte_level, make_unigram, make_word_level, make_wordpiece

from spacy_bertft.errors import CheckpointError
from spacy_bertft.models.mlm.texts import IGNORED, MaskedTexts, cut_masked_texts, make_masking_rule
from spacy_bertft.tokens import PieceTokenizer

WORDPIECE, BYTE_LEVEL, UNIGRAM = (
    PieceTokenizer(make().to_str()) for make in (make_wordpiece, make_byte_level, make_unigram)
)
each = pytest.mark.parametrize("tokenizer", [WORDPIECE, BYTE_LEVEL, UNIGRAM], ids=["wordpiece", "bytes", "unigram"])


def cut(texts, tokenizer=WORDPIECE, size=10, rate=0.15, *, whole_words=False) -> MaskedTexts:
    pad_id = 0 if tokenizer is WORDPIECE else 1
    rule = make_masking_rule("bert", tokenizer, pad_id, rate)
    return cut_masked_texts(texts, tokenizer, rule, size=size, pad_id=pad_id, whole_words=whole_words)


def steps(texts, max_pieces=64, epochs=1, n_steps=None, seed=0):
    return texts.plan_steps(max_pieces, epochs=epochs, n_steps=n_steps, rng=np.random.default_rng(seed))


@each
@pytest.mark.parametrize("whole_words", [False, True])
def test_special_pieces_are_never_hidden(tokenizer, whole_words):
    texts = cut([*TEXTS, "show [SEP] me <mask>", ""], tokenizer, rate=0.9, whole_words=whole_words)
    special = tokenizer.list_special_ids(texts.pad_id)
    assert tokenizer.find_mask_id() in special
    assert not np.isin(texts.rule.ordinary_ids, special).any()
    for bucket in texts.cut(100):
        masked = texts.mask(bucket, np.random.default_rng(0))
        padded = texts.layout.pad(bucket, texts.pad_id)
        is_chosen = masked.labels != IGNORED
        assert is_chosen.any(axis=1).all()
        assert not np.isin(padded.ids[is_chosen], special).any()
        assert not is_chosen[padded.mask == 0].any()
        assert (np.where(is_chosen, masked.labels, masked.ids) == padded.ids).all()


@each
def test_whole_words_are_hidden_together(tokenizer):
    [text] = texts = ["show barrymore impossible godfather films"]
    pieces, words = tokenizer.encode(texts), tokenizer.number_words(texts)
    assert len(pieces.ids) > words[-1] + 1 == 5
    found = [text[pieces.char_start[words == word].min() : pieces.char_end[words == word].max()] for word in range(5)]
    assert found == text.split()
    masked = cut(texts, tokenizer, 100, rate=0.5, whole_words=True)
    for seed in range(20):
        labels = masked.mask(masked.windows, np.random.default_rng(seed)).labels[0]
        is_chosen = labels[len(tokenizer.prefix_ids) :][: len(words)] != IGNORED
        assert {is_chosen[words == word].mean() for word in range(5)} == {0.0, 1.0}


def test_words_of_many_texts():
    """They are numbered through, an added piece is a word of its own, and nothing spans two texts."""
    pieces = "sh ##ow me | | me [SEP] [SEP] | don ' t".replace("| ", "").split()
    texts = ["show me", "", "me [SEP] [SEP]", "don't"]
    assert WORDPIECE.names[WORDPIECE.encode(texts).ids].tolist() == pieces
    assert WORDPIECE.number_words(texts).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert len(WORDPIECE.number_words([])) == 0
    many = cut(["me"] * 3000, whole_words=True)
    # Each text has a window of its own, within which words have to differ; numbers start anew every 1,024 texts.
    assert many.word_by_piece.tolist() == [index % 1024 for index in range(3000)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 9), st.integers(8, 60))
def test_an_epoch_sees_every_window_once(lengths, size, max_pieces):
    texts = cut([" ".join(["me"] * length) for length in lengths], size=size)
    seen = np.concatenate([*steps(texts, max_pieces), np.zeros(0, dtype=np.intp)])
    assert sorted(seen.tolist()) == texts.windows.tolist()
    # Every piece is in a window, and empty texts in none.
    windows = texts.layout.windows
    covered = {p for w in seen for p in range(windows.piece_start[w], windows.piece_end[w])}
    assert covered == set(range(sum(lengths))) == set(range(texts.n_pieces))
    for bucket in steps(texts, max_pieces):
        assert len(bucket) == 1 or len(bucket) * texts.layout.lengths[bucket].max() <= max_pieces
    assert sorted(np.concatenate([*texts.cut(max_pieces), seen[:0]]).tolist()) == texts.windows.tolist()


def test_epochs_and_steps():
    texts = cut(TEXTS * 10)
    once = len(steps(texts))
    assert len(steps(texts, epochs=3)) == 3 * once
    assert len(steps(texts, n_steps=2)) == 2
    assert len(steps(texts, n_steps=3 * once + 1)) == 3 * once + 1
    one, two, other = (np.concatenate(steps(texts, seed=seed)).tolist() for seed in (0, 0, 1))
    assert one == two != other


def test_a_tokenizer_without_a_mask_is_refused():
    with pytest.raises(CheckpointError, match=r"of bert has no mask token such as \[MASK\]"):
        make_masking_rule("bert", PieceTokenizer(make_word_level().to_str()), 0, 0.15)
