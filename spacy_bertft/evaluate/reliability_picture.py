"""Reliability diagrams, and the curve of precision and recall over `min_score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spacy_bertft.evaluate.reliability import Confidence, Sweep
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.training.calibration import N_BINS, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_reliability(figures: Sequence[Confidence]) -> Figure:
    """Draw a row of three panels for each component and set of documents."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(11, 4.2 * len(figures)), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    grid = figure.subplots(len(figures), 3, squeeze=False)
    for (before, after, curve), one in zip(grid, figures, strict=True):
        draw_bins(before, one.before, f"{one.component} on {one.data.name}, before")
        draw_bins(after, one.after, "after")
        _draw_sweep(curve, one.sweep)
    return figure


def draw_bins(axes: Axes, reliability: Reliability, title: str) -> None:
    """Draw the share of right answers by probability, and how many answers there are."""
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
    axes.set_xlabel("probability given", color=COLORS["muted"])
    axes.set_ylabel("share that is right", color=COLORS["muted"])


def _draw_sweep(axes: Axes, sweep: Sweep) -> None:
    style_axes(axes, "answers kept by min_score")
    for values, name, color in ((sweep.precision, "precision", "bar"), (sweep.recall, "recall", "mark")):
        axes.plot(sweep.min_score, values, color=COLORS[color], linewidth=1.6, label=name)
    axes.legend(frameon=False, labelcolor=COLORS["ink"], loc="lower left", fontsize="small")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.set_xlabel("min_score", color=COLORS["muted"])


def style_axes(axes: Axes, title: str) -> None:
    """Give axes a title, one spine and a quiet grid."""
    axes.set_title(title, loc="left", color=COLORS["ink"], fontweight="bold", fontsize="medium")
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=COLORS["muted"])
    axes.tick_params(colors=COLORS["muted"], length=0)
    axes.grid(axis="y", color=COLORS["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
