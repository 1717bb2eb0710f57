from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from spacy_bertft.data import CorpusStats, draw_lengths
from spacy_bertft.errors import MissingExtraError, SettingError


def make_stats(lengths: list[int], window: int = 32) -> CorpusStats:
    words = np.array(lengths, dtype=np.int64)
    return CorpusStats((Path("a<b>.bio"),), words, words * 2, window, {"PER": 9, "<b>": 1})


@pytest.mark.parametrize("lengths", [[1], [0], [5] * 10, [1, 2, 3, 500_000], list(range(2000))])
def test_pictures_of_all_sorts_of_lengths(tmp_path: Path, lengths: list[int]) -> None:
    pytest.importorskip("matplotlib")
    draw_lengths(make_stats(lengths), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_holds_everything_as_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.html"
    draw_lengths(make_stats([3] * 99 + [400]), path)
    page = path.read_text(encoding="utf-8")
    assert "<td>90.0%</td>" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "1 longer, up to 400" in page
    assert "1 (1.00%) longer than a window of 32 subword tokens" in page


def test_the_page_needs_no_other_file_and_follows_the_theme(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.html"
    draw_lengths(make_stats([3, 4]), path)
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!#)|@import|url\((?!#)", page)
    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    ElementTree.fromstring(svg)
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert set(re.findall(r"var\(--(\w+)\)", svg)) == {"ink", "muted", "grid", "bar", "mark", "paper"}


def test_the_same_corpus_gives_the_same_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.html", "b.html"):
        draw_lengths(make_stats([3, 4]), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        draw_lengths(make_stats([1]), tmp_path / "a.pdf")
    assert caught.value.name == "plot"


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(MissingExtraError) as caught:
        draw_lengths(make_stats([1]), tmp_path / "a.png")
    assert caught.value.extra == "plot"
    assert (tmp_path / "a.png").read_bytes() == b"old"
