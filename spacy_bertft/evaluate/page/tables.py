"""The figures of a report as tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spacy_bertft.evaluate.bootstrap import Floats
from spacy_bertft.evaluate.category_table import format_percent
from spacy_bertft.evaluate.comparison import Difference
from spacy_bertft.evaluate.counts import ALL, MEASURES, Figures
from spacy_bertft.evaluate.entity_errors import KINDS

Rows = list[tuple[str, ...]]


def format_figures(figures: Figures, unit: str) -> Rows:
    """Lay out precision, recall and F1 in percent, each with its interval.

    Args:
        figures: What was measured.
        unit: What is counted, such as `entities`.
    """
    rows = [
        (name, *(format_share(share, ends) for share, ends in zip(shares, intervals, strict=True)), f"{n_gold:,}")
        for name, shares, intervals, n_gold in zip(
            figures.names, figures.shares, figures.intervals, figures.n_gold.tolist(), strict=True
        )
    ]
    return [(unit, *MEASURES, "gold"), *rows]


def format_share(share: float, ends: Floats) -> str:
    """Format a share and its interval in percent; a dash where there is none."""
    if np.isnan(share):
        return format_percent(None)
    low, high = (format_percent(None if np.isnan(end) else float(end)) for end in ends)
    return f"{format_percent(float(share))} ({low} to {high})"


def format_kinds(kinds_by_label: Mapping[str, Mapping[str, int]]) -> Rows:
    """Lay out how often each label was met with each kind of error."""
    totals: dict[str, int] = {kind: sum(kinds[kind] for kinds in kinds_by_label.values()) for kind in KINDS}
    named: list[tuple[str, Mapping[str, int]]] = [(ALL, totals), *kinds_by_label.items()]
    return [("label", *KINDS), *((label, *(f"{kinds[kind]:,}" for kind in KINDS)) for label, kinds in named)]


def format_differences(differences: list[Difference], unit: str, names: tuple[str, str]) -> Rows:
    """Lay out how two pipelines differ.

    Args:
        differences: Of each row.
        unit: What is compared, such as the F1 of entities.
        names: The two pipelines.
    """
    rows = [(each.name, *_format_difference(each)) for each in differences]
    return [(unit, *names, "difference", "p"), *rows]


def _format_difference(one: Difference) -> tuple[str, ...]:
    first, second = (format_percent(None if np.isnan(share) else share) for share in one.shares)
    if np.isnan(one.difference):
        return first, second, format_percent(None), format_percent(None)
    low, high = (f"{100 * end:+.2f}" for end in one.interval)
    return first, second, f"{100 * one.difference:+.2f} ({low} to {high})", f"{one.p_value:.3f}"
