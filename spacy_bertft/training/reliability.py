"""Whether answers given with a probability of 80 % are right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers, put into bins of equal width by their probability.

    Attributes:
        counts: `(N_BINS,)` answers in each bin.
        confidence: `(N_BINS,)` mean probability of its answers; not a number where there are none.
        accuracy: `(N_BINS,)` share of them that is right; not a number where there are none.
        variance: `(N_BINS,)` of the number of right answers, if each is right with its probability.
    """

    counts: NDArray[np.intp]
    confidence: Floats
    accuracy: Floats
    variance: Floats

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, from 0 to 1: how far confidence and accuracy are apart, over all answers.

        Source: Naeini, Cooper & Hauskrecht (2015), eq. 3; Guo et al. (2017), eq. 3.
        """
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.counts) / max(1, self.counts.sum()))

    @property
    def chance_error(self) -> float:
        """What that error would be, on average, if all probabilities were exactly right.

        It is not 0: of ten answers with 75 % each, never seven and a half are right. The number of right answers of a
        bin is held to be normal, whose mean absolute deviation is √(2/π) standard deviations.
        """
        return float(np.sqrt(2 / np.pi * self.variance).sum() / max(1, self.counts.sum()))


def measure_reliability(probs: Floats, is_right: NDArray[np.bool_]) -> Reliability:
    """Put answers into bins.

    Args:
        probs: `(n,)` their probabilities.
        is_right: `(n,)` whether each is right.

    Example:
        >>> reliability = measure_reliability(np.array([0.95, 0.95, 0.65]), np.array([True, False, True]))
        >>> round(reliability.calibration_error, 3)
        0.417
    """
    bins = np.minimum((probs * N_BINS).astype(np.intp), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, probs, minlength=N_BINS) / counts
        accuracy = np.bincount(bins, is_right, minlength=N_BINS) / counts
    variance = np.bincount(bins, probs * (1 - probs), minlength=N_BINS).astype(np.float64)
    return Reliability(counts, confidence, accuracy, variance)
