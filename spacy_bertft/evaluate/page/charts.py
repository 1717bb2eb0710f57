"""The charts of a report that no other picture has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spacy_bertft.evaluate.confusion import Confusion
from spacy_bertft.evaluate.counts import MEASURES, Figures
from spacy_bertft.evaluate.panels import draw_matrix, measure_matrix, shorten
from spacy_bertft.evaluate.reliability_picture import draw_bins, style_axes
from spacy_bertft.evaluate.training_log import TrainingLog
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.training.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROOM_FOR_NAMES = 2.0
_F1 = MEASURES.index("F1")
_SHADES = ("bar", "mark", "muted")
_DASHES = ("solid", (0, (4, 2)), (0, (1, 1)))


def draw_f1(figures: Figures) -> Figure:
    """Draw the F1 of each row with its interval."""
    rows = [row for row in range(len(figures.names)) if not np.isnan(figures.shares[row, _F1])]
    figure = _make_figure(7.5, 0.3 * len(rows) + 0.9)
    axes = figure.add_subplot()
    style_axes(axes, "")
    axes.grid(axis="x", color=COLORS["grid"], linewidth=0.8)
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        share, (low, high) = figures.shares[row, _F1], figures.intervals[row, _F1]
        color = COLORS["mark"] if row < 2 else COLORS["bar"]
        axes.plot([low, high], [place, place], color=color, linewidth=2.2, alpha=0.7, solid_capstyle="round")
        axes.plot([share], [place], "o", color=color, markersize=5)
    axes.set_yticks(range(len(rows)), [shorten(figures.names[row]) for row in rows])
    axes.tick_params(axis="y", colors=COLORS["ink"])
    axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    axes.set_xlabel("F1 in percent, with its 95 % interval", color=COLORS["muted"])
    return figure


def draw_confusion(confusion: Confusion) -> Figure:
    """Draw a confusion matrix."""
    size = measure_matrix(len(confusion.labels))
    figure = _make_figure(size.width + _ROOM_FOR_NAMES, size.height + _ROOM_FOR_NAMES)
    draw_matrix(figure.add_subplot(), confusion)
    return figure


def draw_reliability_diagram(reliability: Reliability) -> Figure:
    """Draw the share of right answers by probability."""
    figure = _make_figure(4.6, 4.2)
    draw_bins(figure.add_subplot(), reliability, "")
    return figure


def draw_learning_curve(log: TrainingLog) -> Figure:
    """Draw the score on the development set over the steps of training, and below it the losses."""
    figure = _make_figure(8.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True)
    style_axes(above, "Score on the development set, in percent")
    style_axes(below, "Loss since the evaluation before")
    above.plot(log.steps, log.total, color=COLORS["bar"], linewidth=1.6, marker="o", markersize=3)
    step, best = log.steps[log.best], log.total[log.best]
    above.axvline(step, color=COLORS["mark"], linewidth=1, linestyle=(0, (4, 3)))
    note = f"best {best:.2f} after {step:,.0f} steps"
    side = ("right", -5) if log.best > len(log.steps) / 2 else ("left", 5)
    above.annotate(
        note,
        xy=(step, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(side[1], 0),
        textcoords="offset points",
        ha=side[0],
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


def _make_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
