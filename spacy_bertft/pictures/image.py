"""Figures of matplotlib → images, the same bytes for the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from spacy_bertft.pictures.colors import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "svg"]

_TAG = re.compile(r"<[^<>]+>")
# Where an id stands, and where one is referred to.
_OWN_ID = re.compile(r'(?: id="| (?:xlink:)?href="#|url\(#)')


def render(draw: Callable[[], Figure], image_format: ImageFormat, background: str = COLORS["paper"]) -> bytes:
    """Render a figure.

    Args:
        draw: Makes the figure; called here, since the settings of matplotlib count from the first text on.
        image_format: What to make of it.
        background: The colour behind it.
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Without a date and a random salt the same figure gives the same bytes; text stays text.
    with rc_context({"font.size": 10.5, "svg.fonttype": "none", "svg.hashsalt": "spacy-bertft"}):
        metadata = {"Date": None, "Creator": None} if image_format == "svg" else None
        draw().savefig(buffer, format=image_format, dpi=160, facecolor=background, metadata=metadata)
    return buffer.getvalue()


def render_element(draw: Callable[[], Figure], prefix: str = "") -> str:
    """Render a figure as an element of a page, which follows the reader's light or dark theme.

    Args:
        draw: Makes the figure.
        prefix: Put before every id within it, so that a page may hold several figures.
    """
    svg = render(draw, "svg", "none").decode("utf-8")
    svg = _TAG.sub(lambda tag: _adapt(tag[0], prefix), svg)
    # A page wants the element alone, without the XML prologue of a file of its own.
    return svg[svg.index("<svg") :]


def _adapt(tag: str, prefix: str) -> str:
    tag = _OWN_ID.sub(rf"\g<0>{prefix}", tag)
    for name, color in COLORS.items():
        tag = tag.replace(color, f"var(--{name})")
    return tag
