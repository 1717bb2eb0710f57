"""Intervals and p-values: laws, and cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.bootstrap import Resampling, compute_interval, compute_p_value


def test_every_resample_has_as_many_documents_as_there_are():
    values = np.stack([np.ones(37, dtype=np.int64), np.arange(37)], axis=1)
    sums = Resampling(200, seed=1).sum(values)
    assert sums.shape == (200, 2)
    assert set(sums[:, 0].tolist()) == {37.0}
    # The sum of 37 draws from 0 to 36: 37 · 18 on average, with a standard error of about 5 over 200 resamples.
    assert sums[:, 1].mean() == pytest.approx(37 * 18, abs=20)
    assert sums[:, 1].std() == pytest.approx(np.sqrt(37 * (37**2 - 1) / 12), rel=0.15)


def test_the_same_seed_draws_the_same_documents():
    values = np.random.default_rng(0).integers(0, 9, size=(50, 3))
    first = Resampling(70, seed=3).sum(values)
    assert np.array_equal(first, Resampling(70, seed=3).sum(values))
    assert not np.array_equal(first, Resampling(70, seed=4).sum(values))
    # Pairs depend on it: what is drawn does not depend on what is summed.
    assert np.array_equal(first[:, 1:2], Resampling(70, seed=3).sum(values[:, 1:2]))


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 300 samples of 150 documents, each right with a chance of 0.7, the interval should hold 0.7 for 95 in 100."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        is_correct = (rng.random((150, 1)) < 0.7).astype(np.int64)
        low, high = compute_interval(Resampling(200, seed).sum(is_correct)[:, 0] / 150)
        assert low <= is_correct.mean() <= high
        held += low <= 0.7 <= high
    # 95 % of 300 are 285, with a standard deviation of 3.8.
    assert 270 <= held <= 297


def test_intervals_of_what_is_not_always_defined():
    samples = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    ends = compute_interval(samples)
    np.testing.assert_allclose(ends[0], [0.025, 0.975])
    assert np.isnan(ends[1]).all()


def test_a_p_value_worked_by_hand():
    # Around the difference of 0.2, two of four resamples lie as far as it lies from 0.
    samples = np.array([0.4, 0.0, 0.15, 0.25])
    assert compute_p_value(0.2, samples) == pytest.approx(3 / 5)
    assert compute_p_value(-0.2, -samples) == pytest.approx(3 / 5)
    assert compute_p_value(0.0, samples) == 1.0
    assert compute_p_value(0.2, np.array([0.2, np.nan])) == pytest.approx(1 / 2)
    assert np.isnan(compute_p_value(0.2, np.array([np.nan])))


def test_equal_systems_differ_by_chance_as_often_as_p_says():
    """Of pairs of systems that are equally good, one in ten should have a p-value below 0.1."""
    rng = np.random.default_rng(1)
    n_below = 0
    for seed in range(300):
        gains = (rng.random((150, 2)) < 0.7).astype(np.int64)
        drawn = Resampling(200, seed).sum(gains) / 150
        difference = float(np.subtract(*gains.mean(axis=0)))
        n_below += compute_p_value(difference, drawn[:, 0] - drawn[:, 1]) < 0.1
    assert 15 <= n_below <= 47


@pytest.mark.parametrize(("n_resamples", "seed", "name"), [(1, 0, "resamples"), (10, -1, "seed")])
def test_settings_outside_what_is_allowed(n_resamples, seed, name):
    with pytest.raises(SettingError) as caught:
        Resampling(n_resamples, seed)
    assert caught.value.name == name
