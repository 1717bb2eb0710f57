"""HTML pages from jinja2 templates: each is one file that needs no other, and no script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spacy_bertft.pictures.colors import COLORS, DARK_COLORS, get_label_color

Rows = Sequence[Sequence[str]]


class Table(NamedTuple):
    """A table on a page.

    Attributes:
        rows: Rows of equal length, the first one naming the columns.
        heading: The heading above it; may be empty.
    """

    rows: Rows
    heading: str = ""


class Page(NamedTuple):
    """The text of a page that shows a picture.

    Attributes:
        title: Title and heading.
        notes: A line below the heading.
        picture_name: What the picture shows, for screen readers.
        tables: Tables below the picture.
        is_wide: Whether the picture is wider than a column of text; a narrow screen scrolls it.
    """

    title: str
    notes: str
    picture_name: str
    tables: Sequence[Table]
    is_wide: bool = False


class Mark(NamedTuple):
    """A label on a range of characters, with a note behind it, such as a probability; it may be marked as wrong."""

    char_start: int
    char_end: int
    label: str
    note: str = ""
    is_wrong: bool = False


@cache
def get_environment() -> Environment:
    """Return the environment of all templates, which lie next to the code that renders them; those of HTML escape.

    Names of templates are paths in this package, such as `pictures/templates/layout.html.jinja`.
    """
    environment = Environment(
        loader=PackageLoader("spacy_bertft", ""),
        autoescape=lambda name: not (name or "").endswith(".md.jinja"),  # Markdown stays as it is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"light": COLORS, "dark": DARK_COLORS, "get_label_color": get_label_color}
    return environment


def render_template(template: str, **values: Any) -> str:
    """Render a template."""
    return get_environment().get_template(template).render(values)


def format_page(page: Page, picture: Markup) -> str:
    """Format a page that shows a picture.

    Args:
        page: The text.
        picture: An `<svg>` element whose colours are CSS variables.
    """
    name = "pictures/templates/plot.html.jinja"
    return render_template(name, title=page.title, is_wide=page.is_wide, page=page, picture=picture)
