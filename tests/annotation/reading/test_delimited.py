from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.annotation.chunks import Problem, cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.data import rows as reader


def read(folder, content: str | bytes, **settings) -> tuple[list, list[Problem]]:
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, AnnotateSettings(**settings)))
    assert sum(chunk.weight for chunk in chunks) == path.stat().st_size
    problems = [problem for chunk in chunks for problem in chunk.problems]
    return [row for chunk in chunks for row in chunk.rows], problems


ADVICE = (
    "Is a quote left open, or is it text? Where quotes are text, pass --no-quoting if the command has it, or "
    "write JSONL, as for longer cells."
)
BAD = {
    '"closed" early,1': f"a quote is closed before its cell ends. {ADVICE}",
    "few": "the row has 1 cell. Expected 2 as in line 1, with ',' between cells.",
    "a,b,c": "the row has 3 cells. Expected 2 as in line 1, with ',' between cells.",
    "\udcff,1": "byte 0xff at position 1 of the line is not UTF-8. "
    "Expected UTF-8; convert takes --encoding, such as cp1252.",
    "\0,1": "the line holds a NUL. Expected text; is this a binary file?",
    "x" * 200_000 + ",1": f"a cell has more than 131,072 characters. {ADVICE}",
}


@given(st.lists(st.sampled_from(["a,1", "naïve,2", ",", *BAD]), max_size=9), st.integers(1, 4))
def test_a_row_that_cannot_be_read_takes_no_other_one_with_it(tmp_path_factory, written, shard_rows):
    content = "\n".join(["text,id", *written, "z,26", ""]).encode("utf-8", "surrogateescape")
    rows, problems = read(tmp_path_factory.mktemp("a"), content, shard_rows=shard_rows)
    numbered = list(enumerate([*written, "z,26"], start=2))
    assert rows == [(number, row.split(",")) for number, row in numbered if row not in BAD]
    assert problems == [(number, BAD[row]) for number, row in numbered if row in BAD]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('"never closed,1\nb', "a quote opens a cell and is never closed"),
        # It closes early at the quote of a later row.
        ('"never closed,1\n"b\nc",2', "a quote is closed before its cell ends"),
        # Another quote may be open at the end of the line.
        ('"closed" early,"1\nc",3', "a quote is closed before its cell ends"),
        ('"' + "x\n" * 70_000, "a cell has more than 131,072 characters"),
    ],
)
def test_after_a_quote_that_may_be_open_no_text_is_taken_for_a_row(tmp_path, row, problem):
    rows, [(line, reason)] = read(tmp_path, f"text,id\na,1\n{row}\nd,4\n")
    assert rows == [(2, ["a", "1"])]
    assert (line, reason) == (3, f"{problem}. {ADVICE} The rest of the file is left out.")


def test_quotes_that_are_text(tmp_path):
    rows, problems = read(tmp_path, 'text,id\n"a,1\n"b" c,2\n', quoting=False)
    assert rows == [(2, ['"a', "1"]), (3, ['"b" c', "2"])]
    assert not problems


def test_blanks_within_a_cell_are_kept(tmp_path):
    rows, problems = read(tmp_path, 'text,id\r\n"a\r\n\r\n  \n\t\r\nb",1\r\n  \r\nc,2')
    assert rows == [(2, ["a\r\n\r\n  \n\t\r\nb", "1"]), (8, ["c", "2"])]
    assert not problems


def test_a_line_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 50)
    rows, [problem] = read(tmp_path, f"text,id\na,1\n{'x' * 60}\nc,3\n", shard_rows=1)
    assert rows == [(2, ["a", "1"])]
    assert problem.line == 3
    assert problem.reason.endswith("is this a binary file? The rest of the file is left out.")


def test_carriage_returns_end_rows(tmp_path):
    rows, problems = read(tmp_path, 'text,id\r"a\rb",1\rc,2\r')
    assert rows == [(2, ["a\rb", "1"]), (4, ["c", "2"])]
    assert not problems


def test_marks_where_files_were_joined(tmp_path):
    rows, problems = read(tmp_path, '\ufefftext,id\na,1\n\ufeff"b",2\n"\ufeffc",3\n')
    assert rows == [(2, ["a", "1"]), (3, ["b", "2"]), (4, ["\ufeffc", "3"])]
    assert not problems


def test_a_row_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_ROW_CHARS", 1000)
    rows, [problem] = read(tmp_path, "text,id\na,1\n" + "b,2\n" + '"\n",' * 300 + "1\nc,3\n")
    assert [row for _, row in rows] == [["a", "1"], ["b", "2"]]
    assert problem.line == 4
    assert problem.reason.startswith("a row has more than 1,000 characters on several lines. Is a quote left open")


@pytest.mark.parametrize(
    ("header", "line", "problem"),
    [
        ("body,id", 1, "there is no column 'text' among 'body', 'id'. Pass --text-column with the name of a column."),
        ("text,id,id", 1, "the header names a column twice. Expected each name once."),
        ("ents,text", 1, "there is a column 'ents' already. Pass --prefix, so that new columns get other names."),
        ('\n"text" ,id', 2, "a quote is closed before its cell ends. Is a quote left open"),
    ],
)
def test_columns_that_make_no_sense(tmp_path, header, line, problem):
    rows, [found] = read(tmp_path, f"{header}\na,b\nc,d\n", answers={"ents": "ents"})
    assert not rows
    assert found.line == line
    assert found.reason.startswith(problem)
    assert found.reason.endswith("he rest of the file is left out.")


def test_columns_alone(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,id\n")
    [source] = find_inputs([str(tmp_path / "a.csv")]).sources
    assert list(cut_source(source, AnnotateSettings())) == []
