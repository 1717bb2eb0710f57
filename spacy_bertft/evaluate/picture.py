"""The figures of categories as a picture, a panel for every component."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spacy_bertft.evaluate.categories import Categories
from spacy_bertft.evaluate.panels import draw_panel, measure_panel
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.page import Page
from spacy_bertft.pictures.plot import write_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROOM_FOR_NAMES = 2.0


def draw_categories(categories: Sequence[Categories], path: Path, page: Page) -> None:
    """Draw a panel for every component.

    Args:
        categories: What was measured.
        path: A `.png` or `.svg` picture, or an `.html` page that needs no other file.
        page: What stands on the page beside the picture.

    Raises:
        SettingError: The name ends in none of these.
        MissingExtraError: matplotlib is not installed.
    """
    write_plot(partial(_draw, categories), path, page)


def _draw(categories: Sequence[Categories]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    sizes = [measure_panel(one) for one in categories]
    width = max(size.width for size in sizes) + _ROOM_FOR_NAMES
    height = sum(size.height + _ROOM_FOR_NAMES for size in sizes)
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    grid = figure.add_gridspec(len(sizes), height_ratios=[size.height for size in sizes])
    for row, one in enumerate(categories):
        axes = figure.add_subplot(grid[row])
        draw_panel(axes, one)
        axes.set_title(one.pipe.name, loc="left", color=COLORS["ink"], fontweight="bold")
    return figure
