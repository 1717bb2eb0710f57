from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data.rows import read_label_names
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import find_text_format
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"label_separator": ""}, "label_separator"),
        ({"label_separator": " "}, "label_separator"),
        ({"text_column": "label"}, "label_column"),
        ({"first_label": 2}, "first_label"),
        ({"first_label": 0}, "first_label"),
        ({"second_text_column": "text"}, "second_text_column"),
        ({"label_column": "a", "second_text_column": "a"}, "second_text_column"),
    ],
)
def test_settings_out_of_range(settings: dict[str, str], name: str) -> None:
    with pytest.raises(SettingError) as caught:
        TextOptions(**settings)
    assert caught.value.name == name


def test_the_format_of_a_file() -> None:
    names = ["a.csv", "b.TSV", "c.tar.jsonl"]
    assert [find_text_format(Path(name), TextOptions()) for name in names] == ["csv", "tsv", "jsonl"]
    assert find_text_format(Path("a.csv"), TextOptions(file_format="tsv")) == "tsv"
    for name in ("sentiment-train", "a.txt", ".csv"):
        with pytest.raises(SettingError, match=f"{name} does not tell: pass --format"):
            find_text_format(Path(name), TextOptions())


def test_names_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(b"\xef\xbb\xbfno way\r\n b \r\n\r\n\n")
    assert read_label_names(path) == ("no way", "b")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [("a\n\nb\n", 2, "the line is empty"), ("a\nb\na\n", 3, "the name 'a' occurs twice")],
)
def test_names_that_cannot_be_counted(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = tmp_path / "names"
    path.write_text(text)
    with pytest.raises(ColumnFormatError) as caught:
        read_label_names(path)
    assert (caught.value.line, caught.value.problem) == (line, problem)


def test_no_names(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("\n\n")
    with pytest.raises(DataError, match="names no label"):
        read_label_names(tmp_path / "names")
    with pytest.raises(DataError, match="no such file"):
        read_label_names(tmp_path / "missing")
