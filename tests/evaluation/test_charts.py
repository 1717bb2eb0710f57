from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.charts import Panel, draw_panels, plan_f1, plan_matrix
from spacy_bertft.evaluation.confusion import count_confusions
from spacy_bertft.evaluation.counts import count_pairs, measure_figures
from spacy_bertft.pictures.page import Page, Table
from spacy_bertft.pictures.plot import write_plot

TABLE = Table([("label", "F1"), ("<b>", "1.00")])
PAGE = Page("<model> on test.spacy", "accuracy & more", "The figures", [TABLE], is_wide=True)


def make_labels(n_labels: int) -> tuple[str, ...]:
    return ("<b>", "a $ or 2 $", "a label of many, many, many words", *map(str, range(n_labels)))[:n_labels]


def make_matrix(n_labels: int) -> Panel:
    labels = make_labels(n_labels)
    pairs = [
        (gold, labels[(row + (row * copy) // 7) % n_labels]) for row, gold in enumerate(labels) for copy in range(9)
    ]
    return plan_matrix(count_confusions(labels, pairs), "textcat")


def make_f1(n_labels: int) -> Panel:
    labels = make_labels(n_labels)
    docs = [[(label, labels[0])] for label in labels]
    return plan_f1(measure_figures(count_pairs(labels, docs), Resampling(10)), "textcat_multilabel")


def draw(path: Path, *panels: Panel) -> None:
    write_plot(partial(draw_panels, panels), path, PAGE)


@pytest.mark.everyday(3)
@pytest.mark.parametrize("n_labels", [1, 2, 28])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_pictures_of_few_and_many_labels(tmp_path: Path, n_labels: int, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"a{suffix}"
    draw(path, make_matrix(n_labels), make_f1(n_labels))
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!doctype html>"}[suffix]
    assert path.read_bytes().startswith(start)


def test_cells_hold_counts_and_shares_of_the_row(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    confusion = count_confusions(["ham", "spam"], [("ham", "ham")] * 1999 + [("ham", "spam")] + [("spam", "spam")] * 3)
    draw(tmp_path / "a.svg", plan_matrix(confusion, "filter"))
    texts = re.findall(r"<(?:text|tspan)[^>]*>([^<]*)<", (tmp_path / "a.svg").read_text(encoding="utf-8"))
    cells = [text for text in texts if text.strip() and re.fullmatch(r"[\d,.% ]+", text)]
    assert sorted(cells) == sorted(["1,999", "100.0 %", "1", "0.1 %", "3", "100.0 %"])
    assert {"ham", "spam", "gold", "predicted", "filter"} <= set(texts)


def test_the_page_needs_no_other_file_and_follows_the_theme(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(tmp_path / "a.html", make_matrix(3), make_f1(3))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!#)|@import|url\((?!#)", page)
    assert "<h1>&lt;model&gt; on test.spacy</h1>" in page
    assert "accuracy &amp; more" in page
    assert '<th scope="row">&lt;b&gt;</th><td>1.00</td>' in page
    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    ElementTree.fromstring(svg)
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert set(re.findall(r"var\(--(\w+)\)", svg)) == {"ink", "muted", "grid", "bar", "mark"}


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name, make_matrix(3))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        draw(tmp_path / "a.pdf", make_matrix(3))
    assert caught.value.name == "plot"
