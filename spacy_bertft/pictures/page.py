"""A page: a picture and tables as text, in one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from .style import format_style

Rows = Sequence[Sequence[str]]


class Table(NamedTuple):
    """A table on a page.

    Attributes:
        rows: Rows of equal length, the first one naming the columns.
        heading: What stands above it; may be empty.
    """

    rows: Rows
    heading: str = ""


class Page(NamedTuple):
    """What stands on a page beside its picture.

    Attributes:
        title: The title of the window.
        heading: The heading of the page.
        notes: A line below that.
        picture_name: What the picture shows, for readers who do not see it.
        tables: What stands below the picture.
        is_wide: Whether the picture keeps its own width, rather than fill the column of the text.
    """

    title: str
    heading: str
    notes: str
    picture_name: str
    tables: Sequence[Table]
    is_wide: bool = False


def format_page(page: Page, svg: str) -> str:
    """Format a page.

    Args:
        page: The texts.
        svg: The picture, an `<svg>` element whose colours are CSS variables.
    """
    labelled = svg.replace("<svg", f'<svg role="img" aria-label="{escape(page.picture_name)}"', 1)
    tables = "\n".join(_format_table(table) for table in page.tables)
    body = f"<p>{escape(page.notes)}</p>\n{labelled}\n{tables}"
    return format_document(page.title, page.heading, body, is_wide=page.is_wide)


def format_document(title: str, heading: str, body: str, *, is_wide: bool = False) -> str:
    """Format what every page has around its body.

    Args:
        title: The title of the window.
        heading: The heading of the page.
        body: The HTML below it.
        is_wide: Whether a picture keeps its own width, rather than fill the column of the text.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{format_style(is_wide=is_wide)}</style>
</head>
<body>
<h1>{escape(heading)}</h1>
{body}
</body>
</html>
"""


def _format_table(table: Table) -> str:
    heading = f"<h2>{escape(table.heading)}</h2>\n" if table.heading else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in table.rows[1:]
    )
    return f"{heading}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
