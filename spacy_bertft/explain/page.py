"""Explanations as a page: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from spacy_bertft.errors import SettingError
from spacy_bertft.explain.attribution import Attribution
from spacy_bertft.explain.fragment import format_legend, render
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import format_html
from spacy_bertft.pictures.style import format_style


class Section(NamedTuple):
    """Explanations under a heading.

    Attributes:
        heading: The heading; may be empty.
        entries: What is said of each explanation, which may be empty, and the explanation.
    """

    heading: str
    entries: Sequence[tuple[str, Attribution]]


def check_page(path: Path) -> None:
    """Check that a page can be written, before any work is done for it.

    Raises:
        SettingError: The name does not end in `.html`, or a folder stands there.
    """
    if path.suffix != ".html" or path.is_dir():
        raise SettingError("html", str(path), "a file whose name ends in .html")


def write_page(path: Path, title: str, notes: str, sections: Sequence[Section]) -> None:
    """Write a page.

    Args:
        path: The file.
        title: Its title and heading.
        notes: What stands below that.
        sections: The explanations.

    Raises:
        SettingError: The name does not end in `.html`, or a folder stands there.
    """
    check_page(path)
    has_against = any(entry.method == "gradients" for section in sections for _, entry in section.entries)
    legend = f'<div class="legend">{format_legend(has_against=has_against)}</div>'
    head = f"<h1>{escape(title)}</h1>\n<p>{escape(notes)}</p>"
    body = "\n".join([head, legend, *map(_format_section, sections)])
    with replace_when_done(path) as temporary_path:
        temporary_path.write_text(format_html(title, body, format_style(is_wide=False)), encoding="utf-8")


def _format_section(section: Section) -> str:
    heading = f"<h2>{escape(section.heading)}</h2>\n" if section.heading else ""
    return heading + "\n".join(_format_entry(*entry) for entry in section.entries)


def _format_entry(caption: str, attribution: Attribution) -> str:
    said = f"<p><strong>{escape(caption)}</strong></p>\n" if caption else ""
    return f"<section>\n{said}{render(attribution)}\n</section>"
