from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.pictures.page import Page
from spacy_bertft.pictures.plot import check_plot, write_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Page("title", "notes", "picture", [])


def draw() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")])
def test_the_name_tells_the_format(tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / f"a{suffix}"
    check_plot(path)
    write_plot(draw, path, PAGE)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.pdf", "a", "html", "a.HTML"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    for refuse in (check_plot, lambda path: write_plot(draw, path, PAGE)):
        with pytest.raises(SettingError) as caught:
            refuse(tmp_path / name)
        assert (caught.value.name, caught.value.expected) == ("plot", "a name that ends in .html, .png or .svg")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "a.png").write_bytes(b"old")
    for refuse in (check_plot, lambda path: write_plot(draw, path, PAGE)):
        with pytest.raises(MissingExtraError) as caught:
            refuse(tmp_path / "a.png")
        assert caught.value.extra == "plot"
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_an_error_while_drawing_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "a.png").write_bytes(b"old")

    def fail() -> Figure:
        raise KeyError("label")

    with pytest.raises(KeyError):
        write_plot(fail, tmp_path / "a.png", PAGE)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]
