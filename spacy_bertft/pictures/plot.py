"""Figures of matplotlib → PNG, SVG or a page; the same bytes for the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup, escape

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.page import Page, format_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "svg"]

_TAG = re.compile(r"<[^<>]+>")
# Where an id is defined, and where it is referred to.
_OWN_ID = re.compile(r'(?: id="| (?:xlink:)?href="#|url\(#)')


def make_figure(width: float, height: float) -> Figure:
    """Make an empty figure; sizes are in inches. A width of 5 can be read on a telephone."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))


def style_axes(axes: Axes, title: str, grid: Literal["x", "y"] = "y") -> None:
    """Give axes a title, one spine and a grid along one axis."""
    axes.set_title(title, loc="left", color=COLORS["ink"], fontweight="bold", fontsize="medium")
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=COLORS["muted"])
    axes.tick_params(colors=COLORS["muted"], length=0)
    axes.grid(axis=grid, color=COLORS["grid"], linewidth=0.8)
    axes.set_axisbelow(True)


def render(draw: Callable[[], Figure], image_format: ImageFormat, background: str = COLORS["paper"]) -> bytes:
    """Render a figure.

    Args:
        draw: Makes the figure; called here, since the settings of matplotlib apply from the first text on.
        image_format: The format.
        background: The colour behind it.
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Without a date and a random salt the same figure gives the same bytes; text stays text.
    with rc_context({"font.size": 10.5, "svg.fonttype": "none", "svg.hashsalt": "spacy-bertft"}):
        metadata = {"Date": None, "Creator": None} if image_format == "svg" else None
        draw().savefig(buffer, format=image_format, dpi=160, facecolor=background, metadata=metadata)
    return buffer.getvalue()


def render_element(draw: Callable[[], Figure], name: str, prefix: str = "") -> Markup:
    """Render a figure as an element of a page, which follows the reader's light or dark theme.

    Args:
        draw: Makes the figure.
        name: What the figure shows, for screen readers.
        prefix: Put before every id within it, so that a page may hold several figures.
    """

    def adapt(match: re.Match[str]) -> str:
        tag = _OWN_ID.sub(rf"\g<0>{prefix}", match[0])
        for variable, color in COLORS.items():
            tag = tag.replace(color, f"var(--{variable})")
        return tag

    svg = _TAG.sub(adapt, render(draw, "svg", "none").decode("utf-8"))
    # A page wants the element alone, without the XML prologue of a file of its own.
    element = svg[svg.index("<svg") :]
    return Markup(element.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1))


def check_plot(path: Path) -> None:
    """Check that a picture can be drawn, before an hour of work is done for it.

    Raises:
        SettingError: The name does not end in `.html`, `.png` or `.svg`.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in (".html", ".png", ".svg"):
        raise SettingError("plot", str(path), "a name that ends in .html, .png or .svg")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Drawing", "plot") from error


def write_plot(draw: Callable[[], Figure], path: Path, page: Page) -> None:
    """Draw a figure and write it.

    Args:
        draw: Makes the figure, in `COLORS`.
        path: A `.png` or `.svg` picture, or an `.html` page that needs no other file.
        page: The text of the page.

    Raises:
        SettingError: The name ends in none of these.
        MissingExtraError: matplotlib is not installed.
    """
    check_plot(path)
    if path.suffix == ".html":
        content = format_page(page, render_element(draw, page.picture_name)).encode("utf-8")
    else:
        content = render(draw, "png" if path.suffix == ".png" else "svg")
    with replace_when_done(path) as temporary_path:
        temporary_path.write_bytes(content)
