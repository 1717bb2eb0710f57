"""The pictures of categories: a confusion matrix, or the F1 of every label."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spacy_bertft.evaluate.categories import Categories
from spacy_bertft.evaluate.confusion import Confusion
from spacy_bertft.pictures.colors import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Strong enough to be seen, weak enough for ink on it: the contrast stays above 4.5, on a light and on a dark page.
_MAX_ALPHA = 0.5
_MAX_NAME = 24
_N_ROOMY = 6


class Size(NamedTuple):
    """The size of a panel without the names around it, in inches."""

    width: float
    height: float


def measure_panel(categories: Categories) -> Size:
    """Choose the size of a panel, so that every cell or bar can hold its text."""
    n_labels = len(categories.support)
    return Size(6.5, 0.32 * n_labels + 0.3) if categories.confusion is None else measure_matrix(n_labels)


def measure_matrix(n_labels: int) -> Size:
    """Choose the size of a confusion matrix."""
    cell_width = min(max(6 / n_labels, 0.6), 1.4)
    return Size(cell_width * n_labels, 0.8 * cell_width * n_labels)


def draw_panel(axes: Axes, categories: Categories) -> None:
    """Draw a confusion matrix or, where labels do not exclude each other, the F1 of every label."""
    if categories.confusion is None:
        _clear(axes)
        _draw_bars(axes, categories)
    else:
        draw_matrix(axes, categories.confusion)


def draw_matrix(axes: Axes, confusion: Confusion) -> None:
    """Draw a confusion matrix: what is right in one colour, what is wrong in another."""
    _clear(axes)
    n_labels = len(confusion.labels)
    start, end = -0.5, n_labels - 0.5
    edges = np.linspace(start, end, n_labels + 1)
    axes.hlines(edges, start, end, color=COLORS["grid"], linewidth=0.8)
    axes.vlines(edges, start, end, color=COLORS["grid"], linewidth=0.8)
    # Empty cells stay empty: among many classes the mistakes should be seen, not the zeros.
    for row, column in np.argwhere(confusion.counts).tolist():
        _draw_cell(axes, confusion, row, column)
    columns = [shorten(name) for name in confusion.column_names]
    is_crowded = n_labels > _N_ROOMY or max(map(len, columns)) > 10
    axes.set_xticks(range(n_labels), columns, rotation=90 if is_crowded else 0)
    axes.set_yticks(range(n_labels), [shorten(name) for name in confusion.row_names])
    axes.set(xlim=(start, end), ylim=(end, start))
    axes.set_xlabel("predicted", color=COLORS["muted"])
    axes.set_ylabel("gold", color=COLORS["muted"])


def _clear(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=COLORS["ink"], length=0)


def _draw_cell(axes: Axes, confusion: Confusion, row: int, column: int) -> None:
    from matplotlib.patches import Rectangle

    count, share = confusion.counts[row, column], confusion.row_shares[row, column]
    color = COLORS["bar"] if row == column else COLORS["mark"]
    # The root, since a mistake of a few percent would hardly be seen.
    alpha = _MAX_ALPHA * sqrt(share)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, alpha=alpha, linewidth=0))
    size = "medium" if len(confusion.labels) <= _N_ROOMY else "small"
    text = f"{count:,}\n{100 * share:.1f} %"
    axes.text(column, row, text, ha="center", va="center", color=COLORS["ink"], fontsize=size)


def _draw_bars(axes: Axes, categories: Categories) -> None:
    f_by_label = {label: shares["f"] for label, shares in categories.scores["cats_f_per_type"].items()}
    # The best on top: the axis is turned round below.
    labels = sorted(f_by_label, key=lambda label: (-f_by_label[label], label))
    for row, label in enumerate(labels):
        axes.barh(row, f_by_label[label], height=0.72, color=COLORS["bar"], alpha=_MAX_ALPHA)
        note = f"{100 * f_by_label[label]:.1f}  (n = {categories.support[label]:,})"
        axes.text(0.01, row, note, va="center", color=COLORS["ink"], fontsize="small")
    axes.set_yticks(range(len(labels)), [shorten(label) for label in labels])
    axes.set(xlim=(0, 1), ylim=(len(labels) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    axes.set_xlabel("F1 in percent; n documents have the label", color=COLORS["muted"])
    axes.grid(axis="x", color=COLORS["grid"], linewidth=0.8)
    axes.set_axisbelow(True)


def shorten(label: str) -> str:
    """Shorten a label to what fits beside an axis."""
    # matplotlib reads what stands between two dollar signs as a formula.
    name = label if len(label) <= _MAX_NAME else f"{label[: _MAX_NAME - 1]}…"
    return name.replace("$", r"\$")
