"""How the benchmarks print what they have measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def print_ratios(rounds: Sequence[dict[str, float]], amount: int, unit: str) -> None:
    """Print the speed of each side, and its ratio to the first: the median over the rounds, and the spread.

    Args:
        rounds: The seconds of each side, round by round.
        amount: What was done in a round.
        unit: What the amount counts.
    """
    base = next(iter(rounds[0]))
    for name in rounds[0]:
        ratios = [seconds[base] / seconds[name] for seconds in rounds]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        speed = amount / statistics.median(seconds[name] for seconds in rounds)
        print(f"{name:32} {speed:8,.0f} {unit}/s   × {statistics.median(ratios):.2f} ({spread})")
