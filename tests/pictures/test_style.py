from __future__ import annotations

import re

import pytest

from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.style import format_style


@pytest.mark.parametrize("is_wide", [False, True])
def test_every_variable_has_a_light_and_a_dark_value(is_wide: bool) -> None:
    style = format_style(is_wide=is_wide)
    assert all(len(re.findall(rf"--{name}: #", style)) == 2 for name in COLORS)
    assert set(re.findall(r"var\(--(\w+)\)", style)) <= set(COLORS)
    assert style.count("{") == style.count("}")


def test_a_picture_fills_the_column_or_keeps_its_width() -> None:
    assert "svg { width: 100%; }" in format_style(is_wide=False)
    assert "svg { max-width: 100%; }" in format_style(is_wide=True)
