from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.page import Mark, Page, Table, format_page, get_environment

SVG = Markup('<svg width="1pt"><g/></svg>\n')


class Outline(HTMLParser):
    """The elements of a page in their order, and the text in each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[tuple[str, str]] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, ""))
        self.attributes[tag] = dict(attrs)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.parts[-1] = (self.parts[-1][0], data)


def test_everything_stands_on_the_page_as_text() -> None:
    table = Table([("<label>", "count"), ("a&b", "1"), ("", "2")], "Of <b>")
    outline = Outline(format_page(Page("<title>", "n & m", 'the "lengths"', [table]), SVG))
    body = outline.parts[[tag for tag, _ in outline.parts].index("body") + 1 :]
    assert body == [
        ("main", ""),
        ("h1", "<title>"),
        ("p", "n & m"),
        ("figure", ""),
        ("svg", ""),
        ("g", ""),
        ("h2", "Of <b>"),
        ("div", ""),
        *[("table", ""), ("thead", ""), ("tr", ""), ("th", "<label>"), ("th", "count")],
        *[("tbody", ""), ("tr", ""), ("th", "a&b"), ("td", "1"), ("tr", ""), ("th", ""), ("td", "2")],
    ]
    assert ("title", "<title>") in outline.parts


def test_tables_need_no_heading() -> None:
    page = format_page(Page("t", "n", "p", [Table([("a",)]), Table([("b",)])]), SVG)
    assert page.count("<table>") == 2
    assert "<h2>" not in page


def test_the_page_needs_no_other_file() -> None:
    page = format_page(Page("t", "n", "p", [], is_wide=True), SVG)
    assert not re.search(r"(?:src|href)=\"(?!#)|@import|url\((?!#)", page)


@pytest.mark.parametrize("is_wide", [False, True])
def test_every_variable_has_a_light_and_a_dark_value(is_wide: bool) -> None:
    page = format_page(Page("t", "n", "p", [], is_wide=is_wide), SVG)
    style = page[page.index("<style>") : page.index("</style>")]
    assert all(len(re.findall(rf"--{name}: #", style)) == 2 for name in COLORS)
    assert set(re.findall(r"var\(--(\w+)\)", style)) <= set(COLORS)
    assert style.count("{") == style.count("}")
    # A narrow screen scrolls a wide picture only.
    assert ('<figure class="chart wide">' in page) == is_wide


def test_an_interval_stands_below_its_figure() -> None:
    page = format_page(Page("t", "n", "p", [Table([("label", "F1"), ("A (b)", "50.00 (40.00 to 60.00)")])]), SVG)
    assert '<th scope="row">A (b)</th><td>50.00 <small>(40.00 to 60.00)</small></td>' in page


def test_the_wrong_entity_is_marked_with_more_than_a_colour() -> None:
    elements = get_environment().get_template("pictures/templates/elements.jinja").module
    marks = [Mark(0, 3, "PERSON"), Mark(4, 7, "NEW", "90.0 %", is_wrong=True)]
    right, wrong = re.findall(r"<mark.*?</mark>", str(elements.marked_text("one two", marks)))  # type: ignore[attr-defined]
    assert right == '<mark class="entity" style="background: #aa9cfc">one<span>PERSON</span></mark>'
    assert re.fullmatch(
        r'<mark class="entity wrong" style="background: #\w{6}">two<span>NEW 90.0 % – wrong</span></mark>', wrong
    )


def test_labels_are_not_broken_letter_by_letter() -> None:
    """`anywhere` would let a table shrink a column of labels to one letter."""
    page = format_page(Page("t", "n", "p", []), SVG)
    [rule] = re.findall(r"tbody th \{[^}]*overflow-wrap[^}]*\}", page)
    assert "overflow-wrap: break-word" in rule
