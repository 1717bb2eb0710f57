"""The charts of an evaluation and of a calibration, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spacy_bertft.errors import format_count
from spacy_bertft.evaluation.confusion import ConfusionMatrix
from spacy_bertft.evaluation.counts import F1, Figures
from spacy_bertft.evaluation.reliability import Confidence, Sweep
from spacy_bertft.evaluation.results import NumberPairs
from spacy_bertft.evaluation.training_log import TrainingLog
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.plot import make_figure, style_axes
from spacy_bertft.training.calibration import N_BINS, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Strong enough to be seen, weak enough for ink on it: the contrast stays above 4.5, on a light and on a dark page.
_MAX_ALPHA = 0.5
_MAX_NAME = 24
_MAX_ROOMY = 6  # classes of a matrix whose cells have room for larger text
_NAMES_SIZE = 2.0  # inches for the names along the axes of a matrix
_SHADES = ("bar", "mark", "muted")
_DASHES = ("solid", (0, (4, 2)), (0, (1, 1)))


class Panel(NamedTuple):
    """A chart that may be one of several.

    Attributes:
        width: In inches.
        height: In inches.
        draw: Draws it.
    """

    width: float
    height: float
    draw: Callable[[Axes], None]


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Draw charts one below the other."""
    figure = make_figure(max(panel.width for panel in panels), sum(panel.height for panel in panels))
    grid = figure.add_gridspec(len(panels), height_ratios=[panel.height for panel in panels])
    for row, panel in enumerate(panels):
        panel.draw(figure.add_subplot(grid[row]))
    return figure


def plan_f1(figures: Figures, title: str = "") -> Panel:
    """Plan a chart of the F1 of each row with its interval."""
    n_rows = int((~np.isnan(figures.shares[:, F1])).sum())
    return Panel(7.5, 0.3 * n_rows + 0.9, partial(_draw_f1, figures, title))


def plan_matrix(confusion: ConfusionMatrix, title: str = "") -> Panel:
    """Plan a chart of a confusion matrix, whose cells can hold their text."""
    n_labels = len(confusion.labels)
    cell_width = min(max(6 / n_labels, 0.6), 1.4)
    width, height = cell_width * n_labels, 0.8 * cell_width * n_labels
    return Panel(width + _NAMES_SIZE, height + _NAMES_SIZE, partial(_draw_matrix, confusion, title))


def plan_reliability(reliability: Reliability) -> Panel:
    """Plan a reliability diagram."""
    return Panel(4.6, 4.2, partial(_draw_bins, reliability, ""))


def plan_numbers(pairs: NumberPairs) -> Panel:
    """Plan a chart of predicted values by gold values."""
    return Panel(4.6, 4.2, partial(_draw_numbers, pairs))


def draw_calibration(figures: Sequence[Confidence]) -> Figure:
    """Draw a row of three charts for each component and set of documents: reliability before and after, `min_score`."""
    figure = make_figure(11, 4.2 * len(figures))
    grid = figure.subplots(len(figures), 3, squeeze=False)
    for (before, after, curve), one in zip(grid, figures, strict=True):
        _draw_bins(one.before, f"{one.component} on {one.data.name}, before", before)
        _draw_bins(one.after, "after", after)
        _draw_sweep(one.sweep, curve)
    return figure


def draw_learning_curve(log: TrainingLog) -> Figure:
    """Draw the score on the development set over the steps of training, and below it the losses."""
    figure = make_figure(4.8, 4.8)
    above, below = figure.subplots(2, 1, sharex=True)
    style_axes(above, "Score on the development set, in percent")
    style_axes(below, "Loss since the previous evaluation")
    above.plot(log.steps, log.total, color=COLORS["bar"], linewidth=1.6, marker="o", markersize=3)
    step, best = log.steps[log.best], log.total[log.best]
    above.axvline(step, color=COLORS["mark"], linewidth=1, linestyle=(0, (4, 3)))
    side, shift = ("right", -5) if log.best > len(log.steps) / 2 else ("left", 5)
    above.annotate(
        f"best {best:.2f} after {format_count(int(step), 'step')}",
        xy=(step, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(shift, 0),
        textcoords="offset points",
        ha=side,
        color=COLORS["mark"],
        fontsize="small",
    )
    for index, (name, losses) in enumerate(log.losses.items()):
        color = COLORS[_SHADES[index % len(_SHADES)]]
        dashes = _DASHES[index // len(_SHADES) % len(_DASHES)]
        below.plot(log.steps, losses, color=color, linewidth=1.6, linestyle=dashes, label=shorten(name))
    if log.losses:
        below.legend(frameon=False, labelcolor=COLORS["ink"], fontsize="small")
    below.set_xlabel("steps", color=COLORS["muted"])
    return figure


def shorten(label: str) -> str:
    """Shorten a label to what fits next to an axis."""
    # matplotlib reads text between two dollar signs as a formula.
    name = label if len(label) <= _MAX_NAME else f"{label[: _MAX_NAME - 1]}…"
    return name.replace("$", r"\$")


def _draw_f1(figures: Figures, title: str, axes: Axes) -> None:
    style_axes(axes, title, grid="x")
    rows = np.flatnonzero(~np.isnan(figures.shares[:, F1])).tolist()
    for place, row in enumerate(rows):
        share, (low, high) = figures.shares[row, F1], figures.intervals[row, F1]
        color = COLORS["mark"] if row < 2 else COLORS["bar"]  # the averages come first
        axes.plot([low, high], [place, place], color=color, linewidth=2.2, alpha=0.7, solid_capstyle="round")
        axes.plot([share], [place], "o", color=color, markersize=5)
    names = [f"{shorten(figures.names[row])} ({figures.support[row]:,})" for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", colors=COLORS["ink"])
    axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    axes.set_xlabel("F1 in percent, with its 95 % interval; support in parentheses", color=COLORS["muted"])


def _draw_matrix(confusion: ConfusionMatrix, title: str, axes: Axes) -> None:
    """Draw correct predictions in one colour, confusions in another."""
    style_axes(axes, title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=COLORS["ink"])
    n_labels = len(confusion.labels)
    start, end = -0.5, n_labels - 0.5
    edges = np.linspace(start, end, n_labels + 1)
    axes.hlines(edges, start, end, color=COLORS["grid"], linewidth=0.8)
    axes.vlines(edges, start, end, color=COLORS["grid"], linewidth=0.8)
    # Empty cells stay empty: among many classes the confusions should be seen, not the zeros.
    for row, column in np.argwhere(confusion.counts).tolist():
        _draw_cell(axes, confusion, row, column)
    columns = [shorten(name) for name in confusion.column_names]
    is_crowded = n_labels > _MAX_ROOMY or max(map(len, columns)) > 10
    axes.set_xticks(range(n_labels), columns, rotation=90 if is_crowded else 0)
    axes.set_yticks(range(n_labels), [shorten(name) for name in confusion.row_names])
    axes.set(xlim=(start, end), ylim=(end, start))
    axes.set_xlabel("predicted", color=COLORS["muted"])
    axes.set_ylabel("gold", color=COLORS["muted"])


def _draw_cell(axes: Axes, confusion: ConfusionMatrix, row: int, column: int) -> None:
    from matplotlib.patches import Rectangle

    count, share = confusion.counts[row, column], confusion.row_shares[row, column]
    color = COLORS["bar"] if row == column else COLORS["mark"]
    # The root, since a confusion of a few percent would hardly be seen.
    alpha = _MAX_ALPHA * sqrt(share)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, alpha=alpha, linewidth=0))
    size = "medium" if len(confusion.labels) <= _MAX_ROOMY else "small"
    text = f"{count:,}\n{100 * share:.1f} %"
    axes.text(column, row, text, ha="center", va="center", color=COLORS["ink"], fontsize=size)


def _draw_bins(reliability: Reliability, title: str, axes: Axes) -> None:
    """Draw the share of correct predictions by probability, and how many predictions there are."""
    style_axes(axes, title)
    middle = (np.arange(N_BINS) + 0.5) / N_BINS
    axes.bar(middle, reliability.accuracy, width=0.9 / N_BINS, color=COLORS["bar"], alpha=0.6, linewidth=0)
    axes.plot([0, 1], [0, 1], color=COLORS["muted"], linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(reliability.confidence, reliability.accuracy, "o", color=COLORS["mark"], markersize=4)
    for x, count in zip(middle.tolist(), reliability.counts.tolist(), strict=True):
        if count:
            axes.text(x, 0.02, f"{count:,}", ha="center", color=COLORS["ink"], fontsize=7)
    note = f"calibration error {100 * reliability.calibration_error:.1f} %"
    axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", color=COLORS["mark"], fontsize="small")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.set_xlabel("probability", color=COLORS["muted"])
    axes.set_ylabel("share of correct predictions", color=COLORS["muted"])


def _draw_numbers(pairs: NumberPairs, axes: Axes) -> None:
    style_axes(axes, "")
    ends = [min(pairs.gold.min(), pairs.predicted.min()), max(pairs.gold.max(), pairs.predicted.max())]
    axes.plot(ends, ends, color=COLORS["muted"], linewidth=1, linestyle=(0, (4, 3)))
    alpha = min(1.0, max(0.1, 50 / len(pairs.gold)))  # so that many points on each other are seen to be many
    axes.plot(pairs.gold, pairs.predicted, "o", color=COLORS["bar"], markersize=4, alpha=alpha, markeredgewidth=0)
    axes.set_xlabel(f"gold {shorten(pairs.name)}", color=COLORS["muted"])
    axes.set_ylabel("predicted", color=COLORS["muted"])


def _draw_sweep(sweep: Sweep, axes: Axes) -> None:
    style_axes(axes, "predictions kept by min_score")
    for values, name, color in ((sweep.precision, "precision", "bar"), (sweep.recall, "recall", "mark")):
        axes.plot(sweep.min_score, values, color=COLORS[color], linewidth=1.6, label=name)
    axes.legend(frameon=False, labelcolor=COLORS["ink"], loc="lower left", fontsize="small")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.set_xlabel("min_score", color=COLORS["muted"])
