"""Invariants of masking."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.models.mlm.texts import IGNORED, MaskedWindows, MaskingRule, choose_words, mask_windows
from spacy_bertft.tokens.windows import PaddedWindows

MASK, ORDINARY = 4, np.arange(10, 100)


def lay_out(lengths: list[list[int]]) -> tuple[PaddedWindows, np.ndarray]:
    """Make windows of words with so many pieces, a special piece before and after them, and padding."""
    width = 2 + max(sum(row) for row in lengths)
    ids, mask, words = np.zeros((3, len(lengths), width), dtype=np.intp)
    words -= 1
    number = 0
    for row, counts in enumerate(lengths):
        n_pieces = sum(counts)
        words[row, 1 : 1 + n_pieces] = np.repeat(np.arange(number, number + len(counts)), counts)
        ids[row, 1 : 1 + n_pieces] = 10 + np.arange(n_pieces) % 90
        ids[row, [0, 1 + n_pieces]] = 2, 3
        mask[row, : 2 + n_pieces] = 1
        number += len(counts)
    return PaddedWindows(ids, mask, np.zeros_like(ids)), words


def mask(padded: PaddedWindows, words: np.ndarray, rate: float, seed: int = 0) -> MaskedWindows:
    return mask_windows(padded, words, MaskingRule(rate, MASK, ORDINARY), np.random.default_rng(seed))


windows = st.lists(st.lists(st.integers(1, 4), max_size=12), min_size=1, max_size=6)
rates = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@given(windows, rates, seeds)
def test_laws(lengths, rate, seed):
    padded, words = lay_out(lengths)
    masked = mask(padded, words, rate, seed)
    is_chosen = masked.labels != IGNORED
    # Special pieces and padding are never chosen, and what is not chosen stays.
    assert not is_chosen[words < 0].any()
    assert (masked.ids == padded.ids)[~is_chosen].all()
    assert (masked.labels == padded.ids)[is_chosen].all()
    assert masked.mask is padded.mask
    assert np.isin(masked.ids[is_chosen], [MASK, *ORDINARY]).all()
    for row, counts in enumerate(lengths):
        # The share is kept in every window, to one word, and a word is chosen wholly or not at all.
        chosen, left = (set(words[row][which].tolist()) - {-1} for which in (is_chosen[row], ~is_chosen[row]))
        assert not chosen & left
        assert min(len(counts), max(1, int(len(counts) * rate))) <= len(chosen) <= max(1, -(-len(counts) * rate // 1))


@given(windows, seeds)
def test_the_same_seed_masks_the_same(lengths, seed):
    padded, words = lay_out(lengths)
    one, two = (mask(padded, words, 0.5, seed) for _ in range(2))
    assert (one.ids == two.ids).all()
    assert (one.labels == two.labels).all()


def test_shares_on_average():
    padded, words = lay_out([[1] * 37] * 5000)
    masked = mask(padded, words, 0.15)
    is_chosen = masked.labels != IGNORED
    assert abs(is_chosen[words >= 0].mean() - 0.15) < 0.002
    seen, true = masked.ids[is_chosen], masked.labels[is_chosen]
    assert abs((seen == MASK).mean() - 0.8) < 0.01
    assert abs((seen == true).mean() - 0.1) < 0.01
    others = seen[(seen != MASK) & (seen != true)]
    assert abs(len(others) / len(seen) - 0.1) < 0.01
    assert set(others.tolist()) == set(ORDINARY.tolist())
    # Every place is as likely as any other.
    assert np.ptp(is_chosen[:, 1:-1].mean(axis=0)) < 0.05


def test_whole_words_have_the_share_of_pieces():
    lengths = [np.random.default_rng(row).integers(1, 5, size=20).tolist() for row in range(2000)]
    _, words = lay_out(lengths)
    is_chosen = choose_words(words, 0.15, np.random.default_rng(0))
    assert abs(is_chosen[words >= 0].mean() - 0.15) < 0.005


def test_nothing_to_choose():
    assert not choose_words(np.full((2, 3), -1), 0.5, np.random.default_rng(0)).any()
    assert choose_words(np.zeros((0, 3), dtype=np.intp), 0.5, np.random.default_rng(0)).shape == (0, 3)
