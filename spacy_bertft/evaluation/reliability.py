"""How far the probabilities of a component can be trusted, before and after calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.training.calibration import CalibrationData, Floats, Reliability, log_loss, measure_reliability


@dataclass(frozen=True, eq=False)
class Sweep:
    """What is left when predictions below a probability are dropped.

    Attributes:
        min_score: `(n,)` the thresholds, rising.
        precision: `(n,)` share of correct predictions among those that are kept.
        recall: `(n,)` share of gold annotation that they find.
    """

    min_score: Floats
    precision: Floats
    recall: Floats


def sweep_min_score(probs: Floats, is_correct: NDArray[np.bool_], n_gold: int) -> Sweep:
    """Measure precision and recall for every threshold that makes a difference.

    Args:
        probs: `(n,)` probabilities of the predictions.
        is_correct: `(n,)` whether each is correct.
        n_gold: How much there is in the gold annotation.
    """
    order = np.argsort(probs, kind="stable")
    n_kept = np.arange(len(order), 0, -1)
    n_right = np.cumsum(is_correct[order][::-1])[::-1]
    return Sweep(probs[order], n_right / n_kept, n_right / max(1, n_gold))


def describe_calibration(reliability: Reliability) -> str:
    """Say in words how far probabilities can be trusted.

    Args:
        reliability: Of at least one prediction.
    """
    error, chance, counts = reliability.calibration_error, reliability.chance_error, reliability.counts
    confidence, accuracy = (
        float(np.nansum(each * counts) / counts.sum()) for each in (reliability.confidence, reliability.accuracy)
    )
    if error <= max(2 * chance, 0.01):  # up to twice what exact probabilities give on average is no evidence
        verdict = "Too few predictions to tell" if chance > 0.05 else "Well calibrated"
    elif abs(confidence - accuracy) < error / 2:
        verdict = "Not calibrated: too high for some predictions, too low for others"
    else:
        verdict = "Overconfident" if confidence > accuracy else "Underconfident"
    return (
        f"{verdict}. Mean probability {100 * confidence:.1f} %, correct {100 * accuracy:.1f} %; "
        f"calibration error {100 * error:.1f} % (about {100 * chance:.1f} % if all were exact)"
    )


@dataclass(frozen=True, eq=False)
class Confidence:
    """How far the probabilities of one component can be trusted, on one set of documents.

    Attributes:
        component: Its name.
        data: The file with the documents.
        temperature: What its scores are divided by now.
        n_predictions: How many predictions were compared.
        before: Bins of the predictions before.
        after: The same now.
        log_losses: Mean binary log loss of the predictions, before and now.
        sweep: Precision and recall over `min_score`, now.
    """

    component: str
    data: Path
    temperature: float
    n_predictions: int
    before: Reliability
    after: Reliability
    log_losses: tuple[float, float]
    sweep: Sweep


def measure_confidence(component: str, data: Path, answers: CalibrationData, earlier: float, now: float) -> Confidence:
    """Measure how far the probabilities of a component can be trusted.

    Args:
        component: Its name.
        data: The file with the documents.
        answers: Its predictions for them; there is at least one.
        earlier: The temperature before.
        now: The temperature now.
    """
    before, after = answers.compute_probs(earlier), answers.compute_probs(now)
    return Confidence(
        component=component,
        data=data,
        temperature=now,
        n_predictions=len(answers.is_correct),
        before=measure_reliability(before, answers.is_correct),
        after=measure_reliability(after, answers.is_correct),
        log_losses=(log_loss(before, answers.is_correct), log_loss(after, answers.is_correct)),
        sweep=sweep_min_score(after, answers.is_correct, answers.n_gold),
    )
