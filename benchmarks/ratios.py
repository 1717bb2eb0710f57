"""How the benchmarks compare their sides, and print what they have measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from record import Row


def compare(rounds: Sequence[dict[str, float]], amount: int, unit: str) -> list[Row]:
    """Compute the speed of each side, and its ratio to the first: the median over the rounds, and the spread.

    Args:
        rounds: The seconds of each side, round by round.
        amount: What was done in a round.
        unit: What the amount counts.
    """
    base = next(iter(rounds[0]))
    rows = []
    for name in rounds[0]:
        ratios = [seconds[base] / seconds[name] for seconds in rounds]
        speed = amount / statistics.median(seconds[name] for seconds in rounds)
        rows.append(Row(name, speed, f"{unit}/s", statistics.median(ratios), min(ratios), max(ratios)))
    return rows


def print_ratios(rounds: Sequence[dict[str, float]], amount: int, unit: str) -> None:
    """Print what `compare` computes.

    Args:
        rounds: The seconds of each side, round by round.
        amount: What was done in a round.
        unit: What the amount counts.
    """
    for row in compare(rounds, amount, unit):
        print(f"{row.name:32} {row.value:8,.0f} {row.unit}   × {row.ratio:.2f} ({row.lowest:.2f}–{row.highest:.2f})")


def describe_rounds(n_rounds: int) -> str:
    """Say what the spread of `compare` is."""
    return "one round" if n_rounds == 1 else f"median, lowest and highest of {n_rounds} rounds"
