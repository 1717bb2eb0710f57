"""The bootstrap: how far figures would move with other documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from spacy_bertft.errors import SettingError

Floats = NDArray[np.float64]

# What is left of a 95 % interval on either side.
_TAIL = 0.025
_BLOCK = 32


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
        if self.n_resamples < 2:
            raise SettingError("resamples", self.n_resamples, "at least 2; 1000 is usual")
        if self.seed < 0:
            raise SettingError("seed", self.seed, "a whole number from 0 on")

    def sum(self, values: NDArray[np.int64]) -> Floats:
        """Sum the values of the documents of each resample.

        Args:
            values: `(D, K)` counts by document.

        Returns:
            `(R, K)` sums.

        Source: Efron (1979).
        """
        n_docs = len(values)
        rng = np.random.default_rng(self.seed)
        sums = np.zeros((self.n_resamples, values.shape[1]))
        floats = values.astype(np.float64)
        starts = range(0, self.n_resamples, _BLOCK)
        # With the usual number of documents this takes less time than reading a progress bar.
        for start in tqdm(starts, desc="Resampling", unit=" blocks", disable=None, delay=2, leave=False):
            block = sums[start : start + _BLOCK]
            weights = np.zeros((len(block), n_docs))
            for row in weights:
                row += np.bincount(rng.integers(n_docs, size=n_docs), minlength=n_docs) if n_docs else 0
            block += weights @ floats
        return sums


def compute_interval(samples: Floats) -> Floats:
    """Compute the 95 % percentile interval of figures; resamples in which a figure is not defined are left out.

    Args:
        samples: `(R, …)` figures of each resample.

    Returns:
        `(…, 2)` both ends; not a number where a figure is never defined.

    Source: Efron & Tibshirani (1993), section 13.3.
    """
    columns = samples.reshape(len(samples), -1)
    ends = np.full((columns.shape[1], 2), np.nan)
    for column in np.flatnonzero(~np.isnan(columns).all(axis=0)).tolist():
        ends[column] = np.nanquantile(columns[:, column], [_TAIL, 1 - _TAIL])
    return ends.reshape(*samples.shape[1:], 2)


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
