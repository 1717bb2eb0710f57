"""The colours of pictures and pages, on light paper and on dark, and those of labels."""

from __future__ import annotations

from zlib import crc32

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

# For displaCy, which has none for the labels of CoNLL 2003 and of MIT Movie; an entry point gives them to it. Like its
# own they are light, for dark text.
LABEL_COLORS = {
    "PER": "#aa9cfc",  # as its PERSON
    "MISC": "#f0d0ff",
    "ACTOR": "#ffc8a2",
    "CHARACTER": "#ffb3c6",
    "DIRECTOR": "#9ad9f5",
    "GENRE": "#b8e6a8",
    "PLOT": "#e3d5b8",
    "RATING": "#ffe38f",
    "RATINGS_AVERAGE": "#f7c873",
    "REVIEW": "#d3c4f7",
    "SONG": "#f5b8e8",
    "TITLE": "#8fe3d0",
    "TRAILER": "#c5d86d",
    "YEAR": "#bcd2f7",
}


def get_label_color(label: str) -> str:
    """Return the colour that displaCy gives a label, or else one of ours, always the same for the same label."""
    from spacy.displacy.render import EntityRenderer

    others = list(LABEL_COLORS.values())
    # With those that entry points and users have registered.
    return EntityRenderer().colors.get(label.upper(), others[crc32(label.encode()) % len(others)])
