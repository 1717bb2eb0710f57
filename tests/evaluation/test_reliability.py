"""Sweeps and confidence against cases worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spacy_bertft.evaluation.reliability import describe_calibration, measure_confidence, sweep_min_score
from spacy_bertft.training.calibration import CalibrationData, measure_reliability


def test_a_sweep_worked_by_hand() -> None:
    sweep = sweep_min_score(np.array([0.9, 0.2, 0.6]), np.array([True, False, True]), n_gold=4)
    assert sweep.min_score.tolist() == [0.2, 0.6, 0.9]
    np.testing.assert_allclose(sweep.precision, [2 / 3, 1.0, 1.0])
    np.testing.assert_allclose(sweep.recall, [0.5, 0.5, 0.25])


def test_confidence_before_and_after() -> None:
    answers = CalibrationData(lambda t: np.array([0.9, 0.9]) / t, np.array([True, False]), 2)
    one = measure_confidence("ner", Path("dev.spacy"), answers, 1.0, 1.8)
    assert (one.n_predictions, one.temperature) == (2, 1.8)
    assert one.before.calibration_error == pytest.approx(0.4)
    assert one.after.calibration_error == pytest.approx(0.0)
    assert one.log_losses[1] < one.log_losses[0]


@pytest.mark.parametrize(
    ("prob", "n_correct", "n_predictions", "verdict"),
    [
        (0.9, 900, 1000, "Well calibrated"),
        (0.9, 700, 1000, "Overconfident"),
        (0.6, 900, 1000, "Underconfident"),
        (0.9, 4, 5, "Too few predictions to tell"),
        (0.9, 0, 5, "Overconfident"),
    ],
)
def test_calibration_in_words(prob: float, n_correct: int, n_predictions: int, verdict: str) -> None:
    is_correct = np.arange(n_predictions) < n_correct
    said = describe_calibration(measure_reliability(np.full(n_predictions, prob), is_correct))
    accuracy = 100 * n_correct / n_predictions
    assert said.startswith(
        f"{verdict}. Mean probability {100 * prob:.1f} %, correct {accuracy:.1f} %; calibration error"
    )


def test_errors_of_both_signs_do_not_make_up_for_each_other() -> None:
    probs, is_correct = np.repeat([0.95, 0.55], 500), np.tile([True, True, True, False], 250)
    assert describe_calibration(measure_reliability(probs, is_correct)).startswith("Not calibrated: too high for some")
