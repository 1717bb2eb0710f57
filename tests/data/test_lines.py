from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data import rows as reader
from spacy_bertft.data.rows import Tally, read_lines
from spacy_bertft.errors import ColumnFormatError, DataError


def read(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    lines = list(read_lines(path))
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
    return [line for _, line in lines]


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path / "a", b"\xef\xbb\xbfa\r\nb\n\nc") == ["a", "b", "", "c"]
    assert read(tmp_path / "b", b"") == []


def test_carriage_returns_end_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "a", b"a\rb\r\rc") == ["a", "b", "", "c"]
    assert read(tmp_path / "b", b"a\rb\r\r") == ["a", "b", ""]
    assert read(tmp_path / "d", b"\xef\xbb\xbfa\r\nb\r\r\n\nc") == ["a", "b", "", "c"]
    # Of a file that was converted twice, no line becomes two.
    assert read(tmp_path / "c", b"a\r\r\nb\rc\r\nd\n") == ["a", "b", "c", "d"]


def test_byte_order_marks_inside_a_file(tmp_path: Path) -> None:
    path, tally = tmp_path / "a", Tally()
    path.write_bytes("\ufeffa\n\ufeffb\ufeff\n\ufeff\n\ufeff\ufeffc\n\ufeff\tO\n".encode())
    assert [line for _, line in read_lines(path, tally)] == ["a", "b\ufeff", "", "c", "\ufeff\tO"]
    assert tally == Tally(n_lines=5, n_byte_order_marks=4)


def test_other_line_ends_belong_to_the_line(tmp_path: Path) -> None:
    text = "a\u0085b\u2028c\x0bd\x0ce\x1cf"
    assert read(tmp_path / "a", text.encode()) == [text]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"a\nb\ncaf\xe9\tO\n", 3, "byte 0xe9 at position 4 of the line is not UTF-8"),
        ("a\tO".encode("utf-16-be"), 1, "the line holds a NUL"),
        ("\ufeffa\tO".encode("utf-32"), 1, "the line holds a NUL"),
        (b"\xff\xfea\0\0\xd8", 1, "the file cannot be read from here on ('utf-16"),
        (b"a\nb\0\tO\n", 2, "the line holds a NUL"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, line: int, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", content)
    assert (caught.value.path, caught.value.line) == (tmp_path / "a", line)
    assert caught.value.problem.startswith(problem)


@pytest.mark.parametrize("end", [b"", b"\n", b"\nb\n"])
def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 10)
    assert read(tmp_path / "a", b"a\n" + b"x" * 9 + end)[:2] == ["a", "x" * 9]
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", b"a\n" + b"x" * 1000 + end)
    assert (caught.value.line, caught.value.problem) == (2, "the line is longer than 10 bytes")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, problem in {tmp_path / "missing": "no such file", tmp_path: "this is a directory"}.items():
        with pytest.raises(DataError, match=f"{path}: {problem}"):
            list(read_lines(path))
