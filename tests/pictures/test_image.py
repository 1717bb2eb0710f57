from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from commands import run_python

import spacy_bertft
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.plot import render, render_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

pytest.importorskip("matplotlib")


def draw() -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, "a < b", color=COLORS["ink"])
    figure.text(0.1, 0.1, "c", color=COLORS["mark"])
    return figure


def test_images_of_both_formats() -> None:
    assert render(draw, "png").startswith(b"\x89PNG")
    svg = render(draw, "svg").decode("utf-8")
    assert svg.startswith("<?xml")
    assert "a &lt; b" in svg
    assert COLORS["paper"] in svg


@pytest.mark.process
def test_only_the_object_api_of_matplotlib_is_used(tmp_path: Path) -> None:
    """Pyplot would choose a window system. A process of its own, since Captum imports it too."""
    code = "import sys; from matplotlib.figure import Figure; from spacy_bertft.pictures.plot import render"
    printed = run_python(
        "-c", f"{code}; render(Figure, 'svg'); print('matplotlib.pyplot' in sys.modules)", cwd=tmp_path
    )
    assert printed == "False\n"
    package = Path(spacy_bertft.__file__).parent
    assert [path.name for path in package.rglob("*.py") if "pyplot" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("image_format", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(image_format: str) -> None:
    assert render(draw, image_format) == render(draw, image_format)


def test_an_element_has_no_colour_of_its_own() -> None:
    element = render_element(draw, 'the "lengths"')
    svg = ElementTree.fromstring(element)
    assert svg.tag.endswith("svg")
    assert (svg.get("role"), svg.get("aria-label")) == ("img", 'the "lengths"')
    assert set(re.findall(r"var\(--(\w+)\)", element)) == {"ink", "mark"}
    assert not re.search(r"#[0-9a-f]{6}\b", element)
    assert "a &lt; b" in element


def test_settings_do_not_stay() -> None:
    from matplotlib import rcParams

    before = rcParams["font.size"], rcParams["svg.fonttype"]
    render(draw, "svg")
    assert (rcParams["font.size"], rcParams["svg.fonttype"]) == before


def test_ids_get_a_prefix_and_texts_stay_as_they_are() -> None:
    text = 'a id="b" is #2f6db5 & href="#c"'

    def draw_marked() -> Figure:
        from matplotlib.figure import Figure

        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], "o", color=COLORS["bar"])
        axes.set_title(text)
        return figure

    plain, prefixed = render_element(draw_marked, "name"), render_element(draw_marked, "name", "p1-")
    assert text.replace("&", "&amp;") in prefixed
    ids = re.findall(r'<[^<>]* id="([^"]+)"', prefixed)
    assert [f"p1-{each}" for each in re.findall(r'<[^<>]* id="([^"]+)"', plain)] == ids
    assert len(ids) > 3
    used = set(re.findall(r'<[^<>]*(?:href="#|url\(#)([^")]+)', prefixed))
    assert used
    assert used <= set(ids)
