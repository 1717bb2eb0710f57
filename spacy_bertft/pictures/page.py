"""A page: a picture and tables as text, in one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from spacy_bertft.pictures.style import format_style

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
    parts = [
        f"<h1>{escape(page.heading)}</h1>",
        f"<p>{escape(page.notes)}</p>",
        label_picture(svg, page.picture_name),
        *map(format_table, page.tables),
    ]
    return format_html(page.title, "\n".join(parts), format_style(is_wide=page.is_wide))


def format_html(title: str, body: str, style: str) -> str:
    """Format a whole HTML file.

    Args:
        title: The title of the window.
        body: The elements of the page.
        style: Its style sheet.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def label_picture(svg: str, name: str) -> str:
    """Name a picture for readers who do not see it."""
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)


def format_table(table: Table) -> str:
    """Format a table, under its heading."""
    heading = f"<h2>{escape(table.heading)}</h2>\n" if table.heading else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in table.rows[1:]
    )
    return f"{heading}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
