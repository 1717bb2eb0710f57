"""Mistakes, drawn by displaCy."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spacy import displacy

from ..sections.section import Excerpt, Mistake

# displaCy's own template has its colours inside, which would not follow a dark theme.
_TEMPLATE = '<mark class="entity">{text}<span>{label}</span></mark>'


def format_mistakes(mistakes: Sequence[Mistake]) -> str:
    """Format mistakes as a list, the surest first."""
    return "<ol>\n" + "\n".join(map(_format_mistake, mistakes)) + "\n</ol>"


def _format_mistake(mistake: Mistake) -> str:
    excerpts = "\n".join(map(_format_excerpt, mistake.excerpts))
    return f"<li><p><b>{100 * mistake.prob:.1f} %</b> {escape(mistake.what)}</p>\n{excerpts}</li>"


def _format_excerpt(excerpt: Excerpt) -> str:
    # displaCy escapes the text, but not the labels.
    ents = [{"start": mark.char_start, "end": mark.char_end, "label": escape(mark.label)} for mark in excerpt.marks]
    drawn = displacy.render(
        {"text": excerpt.text, "ents": ents}, style="ent", manual=True, jupyter=False, options={"template": _TEMPLATE}
    )
    return f"<figure><figcaption>{escape(excerpt.caption)}</figcaption>{drawn}</figure>"
