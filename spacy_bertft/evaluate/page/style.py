"""What the style sheet of a report adds to that of any page."""

from __future__ import annotations

from spacy_bertft.pictures.entities import ENTITIES_STYLE
from spacy_bertft.pictures.style import format_style

_STYLE = """
h2 { font-size: 1.3rem; border-top: 1px solid var(--grid); padding-top: 1.5rem; }
h2 small { color: var(--muted); font-weight: 400; margin-left: .25rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
h3 + table, h3 + svg, summary + table { margin-top: .5rem; }
details { margin-top: 1rem; }
summary { color: var(--muted); cursor: pointer; }
table { display: block; overflow-x: auto; }
td { white-space: nowrap; }
ol { padding-left: 1.5rem; max-width: 60rem; }
li { margin-top: 1.25rem; }
li p { color: var(--ink); }
figure { margin: .5rem 0; }
figcaption { color: var(--muted); font-size: .8rem; }
"""


def format_report_style() -> str:
    """Format the style sheet of a report."""
    return format_style(is_wide=True) + _STYLE + ENTITIES_STYLE
