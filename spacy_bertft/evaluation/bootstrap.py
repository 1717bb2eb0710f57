"""The bootstrap: how far figures would move with other documents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from spacy_bertft.errors import check_setting

Floats = NDArray[np.float64]

# What is left of a 95 % interval on either side.
_TAIL = 0.025


@dataclass(frozen=True)
class Resampling:
    """Draws documents with replacement, as many as there are; the same seed draws the same documents.

    Attributes:
        n_resamples: How many times documents are drawn.
        seed: Seed of the random numbers.

    Raises:
        SettingError: There are fewer than two resamples, or the seed is below 0.
    """

    n_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_setting("resamples", self.n_resamples, self.n_resamples > 1, "at least 2; 1000 is usual")
        check_setting("seed", self.seed, self.seed >= 0, "a whole number from 0 on")

    def sum(self, values: NDArray[np.int64] | Floats) -> Floats:
        """Sum the values of the documents of each resample.

        Args:
            values: `(D, K)` counts, or other numbers, by document.

        Returns:
            `(R, K)` sums.

        Source: Efron (1979).
        """
        n_docs, rng, floats = len(values), np.random.default_rng(self.seed), values.astype(np.float64)
        # With the usual number of documents this takes less time than reading a progress bar.
        rounds = tqdm(range(self.n_resamples), desc="Resampling", disable=None, delay=2, leave=False)
        # How often each document is drawn, (D,), times its counts, (D, K).
        drawn = (np.bincount(rng.integers(max(n_docs, 1), size=n_docs), minlength=n_docs) for _ in rounds)
        return np.stack([weights @ floats for weights in drawn])


def compute_interval(samples: Floats) -> Floats:
    """Compute the 95 % percentile interval of figures; resamples in which a figure is not defined are left out.

    Args:
        samples: `(R, …)` figures of each resample.

    Returns:
        `(…, 2)` both ends; not a number where a figure is never defined.

    Source: Efron & Tibshirani (1993), section 13.3.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        return np.moveaxis(np.nanquantile(samples, [_TAIL, 1 - _TAIL], axis=0), 0, -1)


def compute_p_value(difference: float, samples: Floats) -> float:
    """Compute how often two systems would differ by as much by chance, if they were equally good.

    The differences of the resamples lie around the one that was observed; moved to lie around 0, they show what chance
    does.

    Args:
        difference: The observed difference.
        samples: `(R,)` the differences of the resamples, not a number where there is none.

    Returns:
        From above 0 to 1, for differences in either direction; not a number where there is no difference.

    Source: Berg-Kirkpatrick, Burkett & Klein (2012), section 2.1; one is added to both counts as in Davison & Hinkley
        (1997), eq. 4.11. Pairs of systems on resampled documents: Koehn (2004).
    """
    known = samples[~np.isnan(samples)]
    if np.isnan(difference) or not len(known):
        return float("nan")
    # Sums of counts give the same figure along different ways only up to rounding.
    n_as_far = int((np.abs(known - difference) >= abs(difference) - 1e-12).sum())
    return (1 + n_as_far) / (1 + len(known))
