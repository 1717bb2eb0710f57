"""The most uncertain texts of a stream of any length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.data.texts.unlabelled import UnlabelledText


@dataclass(frozen=True)
class Candidate:
    """A text that may be suggested.

    Attributes:
        text: The text.
        uncertainty: How unsure the pipeline is of it, from 0 to 1.
        vector: `(H,)` where it stands among other texts; nothing where only uncertainty counts.
    """

    text: UnlabelledText
    uncertainty: float
    vector: NDArray[np.float32] | None = None


class CandidatePool:
    """Keeps the most uncertain of the texts that come by, in memory that does not grow with their number.

    Args:
        n_kept: How many are kept.
    """

    def __init__(self, n_kept: int) -> None:
        self.n_kept = n_kept
        self._candidates: list[Candidate] = []

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add texts; the least uncertain of all may have to go."""
        self._candidates.extend(candidates)
        if len(self._candidates) > 2 * self.n_kept:
            self._candidates = self.list_sorted()

    def list_sorted(self) -> list[Candidate]:
        """List what is kept, the most uncertain first; among equals the one that came first."""
        return sorted(self._candidates, key=lambda candidate: -candidate.uncertainty)[: self.n_kept]
