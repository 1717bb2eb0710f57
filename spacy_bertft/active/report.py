"""What was read, left out and suggested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SuggestReport:
    """What was read, left out and suggested.

    Attributes:
        components: The components whose uncertainty counts.
        n_lines: Lines that were read.
        n_left_out: Lines that were left out, by reason.
        n_measured: Texts whose uncertainty was measured.
        n_suggested: Texts that were suggested.
        mean_measured: Mean uncertainty of all measured texts, from 0 to 1.
        mean_suggested: Mean uncertainty of the suggested texts, from 0 to 1.
    """

    components: tuple[str, ...]
    n_lines: int
    n_left_out: Mapping[str, int]
    n_measured: int
    n_suggested: int
    mean_measured: float
    mean_suggested: float

    def __str__(self) -> str:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self.n_left_out.items())
        return (
            f"{self.n_lines:,} lines read; left out: {left_out or 'nothing'}; {self.n_suggested:,} of "
            f"{self.n_measured:,} texts suggested. Mean uncertainty of {', '.join(self.components)}: "
            f"{self.mean_suggested:.3f} of these, {self.mean_measured:.3f} of all."
        )
