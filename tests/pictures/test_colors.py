from __future__ import annotations

import re

import catalogue
import pytest
import spacy
from spacy import displacy

from spacy_bertft.pictures.colors import COLORS, DARK_COLORS, LABEL_COLORS, get_label_color


def read_luminance(color: str) -> float:
    """Give the relative luminance of a colour (WCAG 2.2)."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def measure_contrast(one: str, other: str) -> float:
    dark, light = sorted((read_luminance(one), read_luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white() -> None:
    assert round(measure_contrast("#000000", "#ffffff"), 6) == 21


def test_every_colour_has_a_dark_one() -> None:
    assert list(COLORS) == list(DARK_COLORS)
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in [*COLORS.values(), *DARK_COLORS.values()])


def test_no_two_are_the_same() -> None:
    assert len(set(COLORS.values())) == len(COLORS)


def test_texts_can_be_read() -> None:
    for colors in (COLORS, DARK_COLORS):
        for name in ("ink", "muted", "mark"):
            assert measure_contrast(colors[name], colors["paper"]) >= 4.5


def test_labels_can_be_read() -> None:
    for color in {*LABEL_COLORS.values(), *displacy.EntityRenderer().colors.values()}:
        assert measure_contrast(COLORS["ink"], color) >= 4.5


def test_displacy_knows_our_colours_and_pages_know_those_of_displacy() -> None:
    doc = spacy.blank("en")("drew barrymore")
    doc.set_ents([spacy.tokens.Span(doc, 0, 2, "ACTOR")])
    assert LABEL_COLORS["ACTOR"] in displacy.render(doc, style="ent", jupyter=False)
    assert get_label_color("ORG") == "#7aecec"
    assert get_label_color("actor") == LABEL_COLORS["ACTOR"]
    assert get_label_color("other") == get_label_color("other") in LABEL_COLORS.values()


def test_colours_that_a_user_has_registered_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.REGISTRY, ("spacy", "displacy_colors", "test.v1"), {"ACTOR": "#ffffff"})
    assert get_label_color("ACTOR") == "#ffffff"
