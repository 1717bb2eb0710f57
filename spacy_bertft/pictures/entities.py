"""Entities in their text, drawn by displaCy in the colours of a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from spacy import displacy

# displaCy's own template has its colours inside, which would not follow a dark theme.
_TEMPLATE = '<mark class="entity">{text}<span>{label}</span></mark>'

ENTITIES_STYLE = """
.entities { line-height: 2.1 !important; overflow-wrap: anywhere; }
.entity { background: color-mix(in srgb, var(--bar) 22%, transparent); border-radius: .3rem; color: inherit;
  padding: .1rem .3rem; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.entity span { color: var(--bar); font-size: .75em; font-weight: 700; margin-left: .35rem; white-space: nowrap; }
"""


class Mark(NamedTuple):
    """A label on a range of characters."""

    char_start: int
    char_end: int
    label: str


def format_entities(text: str, marks: Sequence[Mark]) -> str:
    """Format a text with its entities, as an element of a page that has `ENTITIES_STYLE`.

    Args:
        text: The text.
        marks: The entities, in order; they do not overlap.
    """
    # displaCy escapes the text, but not the labels.
    ents = [{"start": mark.char_start, "end": mark.char_end, "label": escape(mark.label)} for mark in marks]
    drawn: str = displacy.render(
        {"text": text, "ents": ents}, style="ent", manual=True, jupyter=False, options={"template": _TEMPLATE}
    )
    return drawn
