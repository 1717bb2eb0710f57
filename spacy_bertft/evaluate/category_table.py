"""The figures of categories as a table, and what to know when reading it."""

from __future__ import annotations

from spacy_bertft.components.category_scores import format_unknown_labels
from spacy_bertft.evaluate.categories import Categories


def format_category_rows(categories: Categories) -> list[tuple[str, ...]]:
    """Lay out the figures by label, in percent, and their averages. Empty where no document has a gold label."""
    if categories.accuracy is None:
        return []
    total = f"{sum(categories.support.values()):,}"
    return [
        (categories.pipe.name, "precision", "recall", "F1", "AUC", "support"),
        *(_format_label(categories, label) for label in categories.support),
        ("macro average", *_format_average(categories, "macro"), total),
        ("micro average", *_format_average(categories, "micro"), total),
    ]


def format_category_notes(categories: Categories) -> list[str]:
    """Name the accuracy, and what the table does not show."""
    name = categories.pipe.name
    if categories.accuracy is None:
        notes = [f"{name}: no document has a gold label" + " that it knows" * bool(categories.unknown_labels)]
    else:
        notes = [f"{name}: {_format_accuracy(categories)}"]
        if categories.n_unknown:
            notes.append(f"{categories.n_unknown:,} without a gold label left out")
        auc_by_label = categories.scores["cats_auc_per_type"]
        if n_undefined := sum(auc is None for auc in auc_by_label.values()):
            notes.append(f"{n_undefined:,} of {len(auc_by_label):,} labels without AUC, 0 in its average as in spaCy")
    if categories.unknown_labels:
        counts = format_unknown_labels(categories.unknown_labels)
        notes.append(f"gold labels that the pipeline does not know: {counts}")
    return notes


def format_percent(share: float | None) -> str:
    """Format a share in percent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.2f}"


def _format_label(categories: Categories, label: str) -> tuple[str, ...]:
    shares = categories.scores["cats_f_per_type"].get(label, {})
    auc = categories.scores["cats_auc_per_type"].get(label)
    figures = (shares.get("p"), shares.get("r"), shares.get("f"), auc)
    return (label, *map(format_percent, figures), f"{categories.support[label]:,}")


def _format_average(categories: Categories, kind: str) -> list[str]:
    # spaCy has no micro average of the AUC.
    return [format_percent(categories.scores.get(f"cats_{kind}_{key}")) for key in ("p", "r", "f", "auc")]


def _format_accuracy(categories: Categories) -> str:
    share = f"{format_percent(categories.accuracy)} %"
    if categories.pipe.is_exclusive:
        return f"accuracy {share}"
    return f"all labels right in {share} (threshold {categories.pipe.threshold:g})"
