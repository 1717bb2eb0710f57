"""The file that `--plot` names: a PNG, an SVG or a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.image import render, render_element
from spacy_bertft.pictures.page import Page, format_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        page: What stands on the page beside the picture.

    Raises:
        SettingError: The name ends in none of these.
        MissingExtraError: matplotlib is not installed.
    """
    check_plot(path)
    if path.suffix == ".html":
        content = format_page(page, render_element(draw)).encode("utf-8")
    else:
        content = render(draw, "png" if path.suffix == ".png" else "svg")
    with replace_when_done(path) as temporary_path:
        temporary_path.write_bytes(content)
