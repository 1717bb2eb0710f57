"""A temperature is found again, and never makes the answers that it was fitted on less likely."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.models.heads.text import sigmoid
from spacy_bertft.training.calibration import CalibrationData, fit_temperature, join_calibration_data, log_loss, may_fit


def make_answers(seed: int, n: int, overconfidence: float) -> CalibrationData:
    """Make answers that are right as often as they should be, once their scores are divided by a number."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(1.0, 1.5, n)
    return CalibrationData(lambda t: sigmoid(logits * overconfidence / t), rng.random(n) < sigmoid(logits), n)


@pytest.mark.parametrize("overconfidence", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found(overconfidence: float) -> None:
    assert fit_temperature(make_answers(0, 50_000, overconfidence)) == pytest.approx(overconfidence, rel=0.03)


def cost(answers: CalibrationData, temperature: float) -> float:
    """The negative log-probability of the truth and of the temperature, per answer."""
    prior = np.log(temperature) ** 2 / 2 / len(answers.is_correct)
    return log_loss(answers.compute_probs(temperature), answers.is_correct) + float(prior)


@given(st.integers(0, 1000), st.integers(2, 60), st.floats(0.2, 5.0))
def test_no_other_temperature_is_better(seed: int, n: int, overconfidence: float) -> None:
    answers = make_answers(seed, n, overconfidence)
    fitted = fit_temperature(answers)
    if not may_fit(answers):
        assert fitted == 1.0
        return
    best = cost(answers, fitted)
    for other in np.geomspace(0.1, 10, 200):
        assert best <= cost(answers, other) + 1e-3
    assert abs(np.log(fitted)) ** 2 <= 2 * n * log_loss(answers.compute_probs(1.0), answers.is_correct)


@pytest.mark.parametrize("is_correct", [[], [True, True], [False]])
def test_nothing_to_learn_leaves_it_at_one(is_correct: list[bool]) -> None:
    n = len(is_correct)
    answers = CalibrationData(lambda t: np.full(n, 0.5) / t, np.array(is_correct, dtype=np.bool_), n)
    assert not may_fit(answers)
    assert fit_temperature(answers) == 1.0


def test_batches_count_together() -> None:
    parts = [make_answers(seed, 5, 2.0) for seed in range(3)]
    joined = join_calibration_data(parts)
    assert joined.n_gold == 15
    np.testing.assert_array_equal(
        joined.compute_probs(1.5), np.concatenate([part.compute_probs(1.5) for part in parts])
    )
    np.testing.assert_array_equal(joined.is_correct, np.concatenate([part.is_correct for part in parts]))
    assert len(join_calibration_data([]).compute_probs(1.0)) == 0


def test_an_impossible_truth_costs_much_and_not_everything() -> None:
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(20.7, abs=0.1)
