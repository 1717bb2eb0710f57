"""Bins against cases worked by hand, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.training.calibration import N_BINS, measure_reliability


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=50))
def test_every_answer_is_in_one_bin(answers: list[tuple[float, bool]]) -> None:
    probs = np.array([prob for prob, _ in answers])
    is_correct = np.array([right for _, right in answers], dtype=np.bool_)
    reliability = measure_reliability(probs, is_correct)
    assert reliability.counts.sum() == len(answers)
    assert np.nansum(reliability.counts * reliability.accuracy) == pytest.approx(is_correct.sum())
    assert 0 <= reliability.calibration_error <= 1
    # No bin can hide more than all answers together show.
    if len(answers):
        assert reliability.calibration_error >= abs(probs.mean() - is_correct.mean()) - 1e-9


def test_honest_answers_have_no_error() -> None:
    probs = np.repeat([0.05, 0.25, 0.75], [20, 4, 4])
    is_correct = np.array([True] + [False] * 19 + [True] + [False] * 3 + [True] * 3 + [False])
    assert measure_reliability(probs, is_correct).calibration_error == pytest.approx(0.0)


def test_what_chance_leaves_of_exactly_right_probabilities() -> None:
    draws = np.random.default_rng(0)
    probs = draws.beta(2, 1, size=400)
    errors = [measure_reliability(probs, draws.random(400) < probs).calibration_error for _ in range(300)]
    assert measure_reliability(probs, probs > 2).chance_error == pytest.approx(np.mean(errors), rel=0.05)
    assert measure_reliability(np.array([0.0, 1.0]), np.array([False, True])).chance_error == 0


def test_bins_are_of_equal_width_and_one_belongs_to_the_last() -> None:
    probs = np.array([0.0, 0.1, 0.99, 1.0])
    assert measure_reliability(probs, np.ones(4, dtype=np.bool_)).counts.tolist() == [1, 1, *[0] * (N_BINS - 3), 2]
