"""Words as HTML and in a terminal: nothing of a text is markup, and all of it stays readable."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from spacy_bertft.explanation import Attribution, render
from spacy_bertft.explanation.attribution import shade_words
from spacy_bertft.pictures.colors import COLORS, DARK_COLORS
from spacy_bertft.pictures.page import get_environment

WORDS_TEMPLATE = get_environment().get_template("explanation/words.jinja").module

WORDS = ("good", "<script>", "[bold]", "bad", "\n", "film")
CATEGORY = Attribution(
    words=WORDS,
    spaces=(" ", " ", "", " ", "", ""),
    weights=np.array([0.5, 0.01, 0.0, -1.0, 7.0, 0.25]),
    target="A&B",
    entity=None,
    component="bert_textcat",
    method="gradients",
    prob=0.975,
    score=2.0,
    baseline_score=1.0,
    outside=0.0,
)
ENTITY = replace(CATEGORY, entity=(2, 4), method="attention", baseline_score=None, outside=0.125, prob=None)


class Reader(HTMLParser):
    """Reads the text of a page, and the style of each word."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.styles: dict[str, str] = {}
        self._style = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._style = dict(attrs).get("style", "") if tag == "span" else ""

    def handle_data(self, data):
        self.text += data
        self.styles[data] = self._style
        self._style = ""


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_the_text_is_whole_and_holds_no_markup():
    reader = read(render(CATEGORY))
    assert "good <script> [bold]bad \nfilm" in reader.text
    assert set(reader.tags) == {"div", "span", "b", "details", "summary"}
    assert reader.text.index("A&B, 97.5 %") < reader.text.index("good <script>")
    assert "Detailsbert_textcat, gradients; score +2.000" in reader.text
    assert str(CATEGORY).startswith("A&B, 97.5 % (bert_textcat, gradients); score +2.000")
    assert render(CATEGORY) == CATEGORY._repr_html_()


def test_shades_are_scaled_to_the_largest_weight_of_a_word():
    """The line break weighs most here, but it is no word."""
    styles = read(render(CATEGORY)).styles
    alphas = {word: float(a) for word, style in styles.items() if (a := "".join(re.findall(r", ([\d.]+)\)", style)))}
    assert alphas == {"good": 0.25, "bad": 0.5, "film": 0.125}
    assert "underline dotted" in styles["bad"]
    assert "underline" not in styles["good"]


def test_an_entity_has_a_frame_and_weights_are_told():
    html = render(ENTITY)
    assert [word for word, style in read(html).styles.items() if "outline" in style] == ["[bold]", "bad"]
    assert 'title="0.5000"' in html
    assert 'title="+0.5000"' in render(CATEGORY)
    assert "<b>A&amp;B “[bold]bad”</b>" in html
    assert "bert_textcat, attention; 12.5 % on special tokens" in html


def test_several():
    assert render([CATEGORY, ENTITY]) == f"{render(CATEGORY)}\n{render(ENTITY)}"


def test_the_gap_is_a_share_of_the_difference():
    weights = np.array([0.5, 0.0, 0.0, 0.4, 0.0, 0.0])
    assert replace(CATEGORY, weights=weights).completeness_gap == pytest.approx(0.1)
    assert replace(CATEGORY, weights=weights, baseline_score=2.0).completeness_gap == float("inf")
    assert ENTITY.completeness_gap is None


def test_words_and_weights_as_rows():
    rows = [("word", "weight"), ("bad", "-1.0000"), ("good", "+0.5000")]
    assert CATEGORY.format_rows(2) == rows
    assert [word for word, _ in CATEGORY.format_rows()[1:]] == ["good", "<script>", "[bold]", "bad", "film"]
    assert ENTITY.format_rows(1)[1] == ("bad", "-1.0000")  # attention is never below 0; the sign would stay


def test_a_terminal_shows_the_text_as_it_is():
    console = Console(width=80, color_system="standard", force_terminal=True)
    with console.capture() as capture:
        console.print(shade_words(ENTITY))
    plain = re.sub(r"\x1b\[[\d;]*m", "", capture.get())
    assert plain == "good <script> [bold]bad \nfilm\n"
    assert shade_words(ENTITY).plain == "good <script> [bold]bad \nfilm"
    styles = {str(span.style) for span in shade_words(ENTITY).spans}
    assert "bold not dim underline magenta" in styles
    assert "not bold not dim not underline cyan" in styles


def test_words_stay_readable_on_light_and_on_dark_pages():
    alpha = WORDS_TEMPLATE.max_alpha
    for colors in (COLORS, DARK_COLORS):
        for hue in (COLORS["bar"], COLORS["mark"]):
            paper = alpha * read_color(hue) + (1 - alpha) * read_color(colors["paper"])
            assert measure_contrast(paper, read_color(colors["ink"])) > 4.5


def read_color(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def measure_contrast(left: np.ndarray, right: np.ndarray) -> float:
    """Compute the contrast ratio of WCAG 2.1."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (left, right)]
    low, high = sorted(float(each @ [0.2126, 0.7152, 0.0722]) for each in linear)
    return (high + 0.05) / (low + 0.05)


def test_the_legend_names_what_is_there():
    assert read(str(WORDS_TEMPLATE.legend(True))).text == "for the prediction against it"
    assert read(str(WORDS_TEMPLATE.legend(False))).text == "for the prediction"
