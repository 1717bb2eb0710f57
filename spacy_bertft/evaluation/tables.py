"""Figures as rows of tables, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spacy_bertft.evaluation.bootstrap import Floats
from spacy_bertft.evaluation.counts import F1, MEASURES, MICRO, Difference, Figures

if TYPE_CHECKING:
    from spacy_bertft.evaluation.numbers import NumberFigures

Rows = list[tuple[str, ...]]


def format_percent(share: float | None) -> str:
    """Format a share in percent; a dash where there is none."""
    return "–" if share is None or np.isnan(share) else f"{100 * share:.2f}"


def format_share(share: float | None, ends: Floats) -> str:
    """Format a share and its interval in percent; a dash where there is none."""
    low, high = map(format_percent, ends.tolist())
    return format_percent(share) + f" ({low} to {high})" * (share is not None and not np.isnan(share))


def format_figures(figures: Figures, unit: str) -> Rows:
    """Lay out precision, recall and F1 in percent, each with its interval.

    Args:
        figures: What was measured.
        unit: What is counted, such as `entities`.
    """
    rows = zip(figures.names, figures.shares.tolist(), figures.intervals, figures.support.tolist(), strict=True)
    return [
        (unit, *MEASURES, "support"),
        *((name, *map(format_share, shares, intervals), f"{support:,}") for name, shares, intervals, support in rows),
    ]


def format_f1(figures: Figures) -> tuple[str, str]:
    """Format the micro-averaged F1 with its interval, and the support."""
    return format_share(float(figures.shares[0, F1]), figures.intervals[0, F1]), f"{figures.support[0]:,}"


def format_correlation(figures: NumberFigures) -> tuple[str, str]:
    """Format Pearson's correlation with its interval, and the support."""
    return format_share(figures.scores["pearson"], figures.interval), f"{figures.scores['support']:,}"


def format_numbers(figures: Sequence[NumberFigures]) -> Rows:
    """Lay out correlations in percent, Pearson's with its interval, and mean squared errors."""
    rows = [(each.name, format_correlation(each)[0], *_format_number(each.scores)) for each in figures]
    return [("number", "Pearson", "Spearman", "mean squared error", "support"), *rows]


def format_number_scores(component: str, scores: Mapping[str, Any]) -> Rows:
    """Lay out the scores of numbers, correlations in percent. Empty where no document has a gold value."""
    per_type = {name: each for name, each in scores["numbers_per_type"].items() if each["support"]}
    rows = [(name, format_percent(each["pearson"]), *_format_number(each)) for name, each in per_type.items()]
    return [(component, "Pearson", "Spearman", "MSE", "support"), *rows] if rows else []


def _format_number(scores: Mapping[str, float | None]) -> tuple[str, ...]:
    mse = np.nan if scores["mse"] is None else scores["mse"]
    return format_percent(scores["spearman"]), f"{mse:.4g}", f"{scores['support']:,}"


def format_accuracy(figures: Figures) -> str:
    """Format an accuracy, the precision of counts of shares, with its interval."""
    return f"{format_share(float(figures.shares[0, 0]), figures.intervals[0, 0])} %"


def format_weakest(figures: Figures, n_labels: int = 3) -> str:
    """Name the labels with the lowest F1 below 100 %; empty where there is one label, or all of them are correct."""
    labels = zip(figures.shares[2:, F1].tolist(), figures.names[2:], figures.support[2:].tolist(), strict=True)
    weakest = sorted((share, name, support) for share, name, support in labels if support and share < 1)
    found = [f"{name} {format_percent(share)} (support {support:,})" for share, name, support in weakest]
    return ", ".join(found[:n_labels]) if len(figures.names) > 3 else ""


def format_error_types(types_by_label: Mapping[str, Mapping[str, int]]) -> Rows:
    """Lay out how often each type of error occurs, over all labels and by label."""
    [first, *_] = types_by_label.values()
    totals = {each: sum(counts[each] for counts in types_by_label.values()) for each in first}
    rows = [("all", totals), *types_by_label.items()]
    return [("label", *first), *((label, *(f"{count:,}" for count in counts.values())) for label, counts in rows)]


def format_differences(differences: Sequence[Difference], unit: str, names: tuple[str, str]) -> Rows:
    """Lay out how two pipelines differ.

    Args:
        differences: Of each row.
        unit: What is compared, such as the F1 of entities.
        names: The two pipelines.
    """
    return [(unit, *names, "difference", "p"), *((each.name, *_format_difference(each)) for each in differences)]


def _format_difference(one: Difference) -> tuple[str, ...]:
    shares = tuple(map(format_percent, one.shares))
    if np.isnan(one.difference):
        return *shares, format_percent(None), format_percent(None)
    low, high = (f"{100 * end:+.2f}" for end in one.interval)
    return *shares, f"{100 * one.difference:+.2f} ({low} to {high})", f"{one.p_value:.3f}"


def format_entity_scores(scores: Mapping[str, Any], group: str = "ents") -> Rows:
    """Lay out spaCy's precision, recall and F1 of entities, in percent: micro average, then by label.

    Args:
        scores: Scores under the names of spaCy.
        group: Whose: `ents`, or `spans_KEY` for a group of `doc.spans`.
    """
    if scores.get(f"{group}_f") is None:
        return []
    shares = {MICRO: {key: scores[f"{group}_{key}"] for key in ("p", "r", "f")}}
    shares |= dict(sorted((scores.get(f"{group}_per_type") or {}).items()))
    rows = [(label, *(format_percent(each[key]) for key in ("p", "r", "f"))) for label, each in shares.items()]
    head = "entities, strict" if group == "ents" else f"doc.spans[{group.removeprefix('spans_')!r}], strict"
    return [(head, *MEASURES), *rows]


def format_category_scores(component: str, scores: Mapping[str, Any]) -> Rows:
    """Lay out the scores of categories by label and their averages. Empty where no document has a gold label."""
    if scores["cats_accuracy"] is None:
        return []
    support: Mapping[str, int] = scores["cats_support"]
    per_type, auc = scores["cats_f_per_type"], scores["cats_auc_per_type"]
    figures = [
        (label, *map(per_type.get(label, {}).get, ("p", "r", "f")), auc.get(label), count)
        for label, count in support.items()
    ]
    # spaCy has no micro average of the AUC.
    for kind in ("macro", "micro"):
        averages = [scores.get(f"cats_{kind}_{key}") for key in ("p", "r", "f", "auc")]
        figures.append((f"{kind} average", *averages, sum(support.values())))
    rows = [(name, *map(format_percent, shares), f"{count:,}") for name, *shares, count in figures]
    return [(component, *MEASURES, "AUC", "support"), *rows]
