"""Mistakes, drawn by displaCy."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spacy_bertft.evaluate.sections.section import Excerpt, Mistake
from spacy_bertft.pictures.entities import format_entities


def format_mistakes(mistakes: Sequence[Mistake]) -> str:
    """Format mistakes as a list, the surest first."""
    return "<ol>\n" + "\n".join(map(_format_mistake, mistakes)) + "\n</ol>"


def _format_mistake(mistake: Mistake) -> str:
    excerpts = "\n".join(map(_format_excerpt, mistake.excerpts))
    return f"<li><p><b>{100 * mistake.prob:.1f} %</b> {escape(mistake.what)}</p>\n{excerpts}</li>"


def _format_excerpt(excerpt: Excerpt) -> str:
    drawn = format_entities(excerpt.text, excerpt.marks)
    return f"<figure><figcaption>{escape(excerpt.caption)}</figcaption>{drawn}</figure>"
