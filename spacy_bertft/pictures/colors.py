"""The colours of pictures and pages, on light paper and on dark."""

from __future__ import annotations

# On a page each becomes a CSS variable, found by its value: no two may be the same.
COLORS = {
    "ink": "#1f2937",
    "muted": "#5b6675",
    "grid": "#e3e7ec",
    "bar": "#2f6db5",
    "mark": "#b4480f",
    "paper": "#fdfdfc",
}

DARK_COLORS = {
    "ink": "#e6e9ee",
    "muted": "#a3adba",
    "grid": "#333b46",
    "bar": "#6ea8e8",
    "mark": "#f0a06a",
    "paper": "#171b21",
}
