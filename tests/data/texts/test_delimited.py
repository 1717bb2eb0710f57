from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.data import rows as reader
from spacy_bertft.data.rows import Tally as TextTally
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow, read_labelled_rows
from spacy_bertft.errors import ColumnFormatError, SettingError

NUMBERED = TextOptions(text_column="1", label_column="2", header=False)
UNQUOTED = TextOptions(text_column="1", label_column="2", header=False, quoting=False)


def read(
    path: Path, content: str | bytes, options: TextOptions, file_format: str = "csv"
) -> tuple[list[LabelledRow], TextTally]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    tally = TextTally()
    rows = read_labelled_rows(path, file_format, options, tally)
    return [replace(row, record=row.record.line) for row in rows], tally


def list_cells(rows: list[LabelledRow]) -> list[tuple[int, str, object]]:
    return [(row.record, row.text, row.label) for row in rows]


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
odd_text = st.text(st.sampled_from('a ",;\t\r\n\u0085\u2028\ufeff'), max_size=8)


@given(st.lists(odd_text | any_text, min_size=1, max_size=6), st.sampled_from(["csv", "tsv"]), st.booleans())
def test_what_the_csv_module_writes_is_read_exactly(texts: list[str], file_format: str, has_bom: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a")
        with path.open("w", encoding="utf-8-sig" if has_bom else "utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="," if file_format == "csv" else "\t", quoting=csv.QUOTE_ALL)
            writer.writerows([["label", "text"], *(["x", text] for text in texts)])
        rows = list(read_labelled_rows(path, file_format, TextOptions()))
    assert [row.text for row in rows] == texts
    assert [row.label for row in rows] == ["x"] * len(texts)


def test_records_over_several_lines_know_where_they_start(tmp_path: Path) -> None:
    content = 'text,label\r\n"a\r\n\r\nb",x\r\n\r\n \r\n"""c""",y\r\nd "e" f, z \r\n'
    rows, tally = read(tmp_path / "a", content, TextOptions())
    assert list_cells(rows) == [(2, "a\r\n\r\nb", "x"), (7, '"c"', "y"), (8, 'd "e" f', "z")]
    assert tally == TextTally(n_lines=8, left_out=Counter({"empty lines": 2}))


def test_quotes_are_text_when_asked_for(tmp_path: Path) -> None:
    content = '"a\tx\n" b "\tx\n""\tx\nc"\tx'
    rows, _ = read(tmp_path / "a", content, UNQUOTED, "tsv")
    assert [row.text for row in rows] == ['"a', '" b "', '""', 'c"']


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    rows, tally = read(tmp_path / "a", b"\xef\xbb\xbftext\tlabel\r\n\xef\xbb\xbfa\tx\r\n", TextOptions(), "tsv")
    assert list_cells(rows) == [(2, "a", "x")]
    assert tally.n_byte_order_marks == 1


def test_joined_files_have_marks_and_headers_inside(tmp_path: Path) -> None:
    content = '\ufefftext,label\n"\ufeffa\n\ufeffb",x\n'
    rows, tally = read(tmp_path / "a", content * 2 + '\ufeff"c",y\n', TextOptions())
    assert list_cells(rows) == [(2, "\ufeffa\n\ufeffb", "x"), (5, "\ufeffa\n\ufeffb", "x"), (7, "c", "y")]
    assert tally.left_out == {"repeated header rows": 1}
    assert tally.n_byte_order_marks == 2
    # Without a header the row is a text.
    assert len(read(tmp_path / "a", "a,x\na,x\n", NUMBERED)[0]) == 2


def test_carriage_returns_end_rows(tmp_path: Path) -> None:
    rows, tally = read(tmp_path / "a", 'text,label\r"a\rb",x\r\rc,y\r', TextOptions())
    assert list_cells(rows) == [(2, "a\rb", "x"), (5, "c", "y")]
    assert (tally.n_lines, tally.left_out["empty lines"]) == (5, 1)


def test_quotes_that_may_have_merged_rows(tmp_path: Path) -> None:
    content = 'x\t1\n"He left.\t0\n1\tShe said "Go".\tx"\t1\n"a\nb"\t0\n"c\td"\t1\n'.replace(' "Go"', " Go")
    rows, tally = read(tmp_path / "a", content, NUMBERED, "tsv")
    assert [row.text for row in rows] == ["x", "He left.\t0\n1\tShe said Go.\tx", "a\nb", "c\td"]
    assert list(tally.notes.values()) == [1]
    assert list(tally.first.values()) == [f"{tmp_path / 'a'}, line 2"]


def test_the_answer_of_prodigy(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a", "text,label,answer\na,x, reject \n", TextOptions())
    assert rows == [LabelledRow(2, "a", None, "x", "reject")]
    rows, _ = read(tmp_path / "a", "text,label,answer\na,x,b\n", TextOptions(label_column="answer"))
    assert rows == [LabelledRow(2, "a", None, "b")]


def test_columns_by_name_and_by_number(tmp_path: Path) -> None:
    content = "id, first ,second,2\n7,a,b,x\n"
    by_name = TextOptions(text_column="first", second_text_column="second", label_column="2")
    by_number = TextOptions(text_column="2", second_text_column="3", label_column="4")
    rows, _ = read(tmp_path / "a", content, by_name)
    assert rows == [LabelledRow(2, "a", "b", "x")]
    # A name goes before a number.
    with pytest.raises(SettingError, match="another column than text_column"):
        read(tmp_path / "a", content, by_number)
    rows, _ = read(tmp_path / "a", content.replace(",2\n", ",label\n"), by_number)
    assert rows == [LabelledRow(2, "a", "b", "x")]


def test_a_name_that_nobody_asks_for_may_stand_twice(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a", "text,label,,\na,x,,\n", TextOptions())
    assert list_cells(rows) == [(2, "a", "x")]


@pytest.mark.parametrize("content", ["", "\n\n", "text,label\n"])
def test_files_without_a_row(tmp_path: Path, content: str) -> None:
    assert read(tmp_path / "a", content, TextOptions())[0] == []


LIMIT = csv.field_size_limit()


@pytest.mark.parametrize(
    ("content", "options", "line", "problem"),
    [
        ("text,label\na,x\nb\n", TextOptions(), 3, "the row has 1 cell"),
        ("text,label\n\na,b,x\n", TextOptions(), 3, "the row has 3 cells"),
        ("a,x\nb,y,z\n", NUMBERED, 2, "the row has 3 cells"),
        ("\nwords,label\na,x\n", TextOptions(), 3, "there is no column 'text' among 'words', 'label'"),
        ("a,x\n", TextOptions(header=False), 1, "there is no column 'text' among '1', '2'"),
        ("a\n", NUMBERED, 1, "there is no column '2' among '1'"),
        ("text,label,text\na,x,b\n", TextOptions(), 2, "there is no column 'text' among '1', 'label', '3'"),
        ('text,label\na,x\n"b,y\nc,z\n', TextOptions(), 3, "a quote opens a cell and is never closed"),
        ('text,label\n"a" b,x\n', TextOptions(), 2, "a quote is closed before its cell ends"),
        # The next quote, far below, closes what was left open here.
        ('a,x\n"b,y\nc,z\n"d",x\n', NUMBERED, 2, "a quote is closed before its cell ends"),
        ('text,label\na,x\n"b\n' + "c\n" * LIMIT, TextOptions(), 3, f"a cell has more than {LIMIT:,} characters"),
        ("a,x\n" + "b" * LIMIT + "b,x\n", UNQUOTED, 2, f"a cell has more than {LIMIT:,} characters"),
        (b"a,x\n\xe9,x\n", NUMBERED, 2, "byte 0xe9 at position 1 of the line is not UTF-8"),
        (b'a,x\n"b\nc\0",x\n', NUMBERED, 3, "the line holds a NUL"),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, content: str | bytes, options: TextOptions, line: int, problem: str
) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", content, options)
    assert (caught.value.path, caught.value.line, caught.value.problem) == (tmp_path / "a", line, problem)
    assert caught.value.expected


def test_a_cell_of_just_the_limit(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a", "b" * LIMIT + ",x\n", NUMBERED)
    assert len(rows[0].text) == LIMIT


def test_a_row_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_ROW_CHARS", 1000)
    long = '"\n' + "b" * 990 + '\n",x\n'  # as long as a row may be before its last line
    assert len(read(tmp_path / "a", "a,x\n" + 3 * long, NUMBERED)[0]) == 4
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", "a,x\n" + '"\n",' * 300, NUMBERED)
    assert (caught.value.line, caught.value.problem) == (2, "a row has more than 1,000 characters on several lines")


def test_rows_are_read_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a,x\nb,y\n\x00")
    rows = read_labelled_rows(tmp_path / "a", "csv", NUMBERED)
    assert [next(rows).text, next(rows).text] == ["a", "b"]
