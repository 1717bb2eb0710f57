"""Sweeps and confidence against cases worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spacy_bertft.evaluation.reliability import measure_confidence, sweep_min_score
from spacy_bertft.training.calibration import CalibrationData


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
