"""The style sheet of a page: it follows the reader's light or dark theme."""

from __future__ import annotations

from collections.abc import Mapping

from spacy_bertft.pictures.colors import COLORS, DARK_COLORS

_STYLE = """
:root { color-scheme: light dark; %(light)s }
@media (prefers-color-scheme: dark) { :root { %(dark)s } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
%(layout)s
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p { color: var(--muted); margin: 0; max-width: 54rem; }
svg { display: block; height: auto; margin-top: 1.5rem; }
svg text { font-family: system-ui, sans-serif !important; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: 2.25rem; }
h2 + table { margin-top: 0; }
th, td { padding: .25rem 1.5rem .25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }
th { color: var(--muted); font-weight: 600; }
th:first-child { text-align: left; }
tbody th { color: var(--ink); font-weight: 400; overflow-wrap: anywhere; }
"""

_COLUMN = """body { max-width: 54rem; margin: 2.5rem auto; padding: 0 1.25rem; }
svg { width: 100%; }"""

_WIDE = """body { margin: 2.5rem clamp(1.25rem, 6vw, 6rem); }
svg { max-width: 100%; }"""


def format_style(*, is_wide: bool) -> str:
    """Format the style sheet.

    Args:
        is_wide: Whether the picture keeps its own width, as far as the window has it; otherwise it fills the column
            of the text.
    """
    layout = _WIDE if is_wide else _COLUMN
    return _STYLE % {"light": format_variables(COLORS), "dark": format_variables(DARK_COLORS), "layout": layout}


def format_variables(colors: Mapping[str, str]) -> str:
    """Format colours as variables of a style sheet."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())
