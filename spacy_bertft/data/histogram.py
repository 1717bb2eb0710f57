"""The picture of a corpus: histograms of its lengths."""

from __future__ import annotations

from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.data.stats import SUBWORD_TOKENS, CorpusStats, summarize_lengths
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.page import Page, Table
from spacy_bertft.pictures.plot import make_figure, style_axes, write_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_N_BARS = 60


def draw_lengths(stats: CorpusStats, output_path: Path | str) -> None:
    """Draw how long the texts of a corpus are.

    Args:
        stats: What was measured.
        output_path: A `.png` or `.svg` picture, or an `.html` page that needs no other file and holds the tables too.

    Raises:
        SettingError: The name ends in none of these.
        MissingExtraError: matplotlib is not installed.
    """
    write_plot(partial(draw_histograms, stats), Path(output_path), _make_page(stats))


def _make_page(stats: CorpusStats) -> Page:
    names = ", ".join(path.name for path in stats.paths)
    tables = [Table(stats.format_rows(), "Lengths")]
    if stats.label_counts:
        tables.append(Table(stats.format_label_rows(), "Labels"))
    return Page(f"{names}: lengths and labels", stats.format_notes(), "Histogram of text lengths", tables)


def draw_histograms(stats: CorpusStats) -> Figure:
    """Draw a histogram of the lengths in each unit."""
    n_panels = len(stats.lengths)
    figure = make_figure(4.8, 2.8 * n_panels)
    for index, (unit, lengths) in enumerate(stats.lengths.items(), start=1):
        axes = figure.add_subplot(n_panels, 1, index)
        _draw_bars(axes, lengths, unit)
        _draw_marks(axes, lengths, stats.window if unit == SUBWORD_TOKENS else None)
    return figure


def _draw_bars(axes: Axes, lengths: NDArray[np.int64], unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    limit = _find_limit(lengths)
    width = ceil((limit + 1) / _N_BARS)
    edges = np.arange(0, limit + width + 1, width) - 0.5
    counts, _ = np.histogram(lengths, edges)
    axes.bar(edges[:-1] + width / 2, counts, width=width * 0.9, color=COLORS["bar"], linewidth=0)
    axes.set_xlim(-0.5, edges[-1])
    style_axes(axes, f"Length in {unit}")
    axes.set_xlabel(f"{unit} per text", color=COLORS["muted"])
    axes.set_ylabel("texts", color=COLORS["muted"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    # Room above the bars for the names of the marks.
    axes.set_ylim(0, 1.18 * max(1, int(counts.max())))
    n_beyond = int((lengths > edges[-1]).sum())
    if n_beyond:
        note = f"{n_beyond:,} longer, up to {int(lengths.max()):,} →"
        axes.set_title(note, loc="right", color=COLORS["mark"], fontsize="small")


def _draw_marks(axes: Axes, lengths: NDArray[np.int64], window: int | None) -> None:
    summary = summarize_lengths(lengths)
    marks = [(summary.median, f"median {summary.median:,.0f}")]
    if summary.p95 > summary.median:
        marks.append((summary.p95, f"95 % ≤ {summary.p95:,.0f}"))
    if window is not None and window - 2 < axes.get_xlim()[1]:
        marks.append((window - 2, f"window {window:,}"))
    for row, (length, name) in enumerate(marks):
        axes.axvline(length, color=COLORS["mark"], linewidth=1.1, linestyle=(0, (4, 3)))
        # One below the other, since short texts bring the marks close together.
        axes.annotate(
            name,
            xy=(length, 1 - 0.095 * row),
            xycoords=("data", "axes fraction"),
            xytext=(5, -3),
            textcoords="offset points",
            va="top",
            bbox={"facecolor": COLORS["paper"], "edgecolor": "none", "pad": 1.5},
            color=COLORS["mark"],
            fontsize="small",
        )


def _find_limit(lengths: NDArray[np.int64]) -> int:
    """Find where the axis ends, so that a few very long texts do not press all others into one bar."""
    longest, most = int(lengths.max()), 1.5 * summarize_lengths(lengths).p99
    return min(longest, max(ceil(most), 1))
