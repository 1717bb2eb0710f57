from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.annotate import chunks as delimited
from spacy_bertft.annotate.chunks import Problem, cut_source
from spacy_bertft.annotate.inputs import find_inputs
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.data import lines
from spacy_bertft.data.texts import delimited as cells


def read(folder, content: str | bytes, **settings) -> tuple[list, list[Problem]]:
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, AnnotateSettings(**settings)))
    assert sum(chunk.weight for chunk in chunks) == path.stat().st_size
    problems = [problem for chunk in chunks for problem in chunk.problems]
    return [row for chunk in chunks for row in chunk.rows], problems


BAD = {
    '"never closed,1': "a quote opens a cell and is never closed. Expected pairs of quotes; JSONL takes longer cells.",
    '"closed" early,1': "a quote is closed before its cell ends. Expected pairs of quotes; JSONL takes longer cells.",
    "carriage\rreturn,1": (
        "a carriage return stands in a cell without quotes. Expected pairs of quotes; JSONL takes longer cells."
    ),
    "few": "the row has 1 cell. Expected 2, as in the first row.",
    "a,b,c": "the row has 3 cells. Expected 2, as in the first row.",
    "\udcff,1": "byte 0xff at position 1 of the line is not UTF-8. Expected UTF-8; convert the file first.",
    "\0,1": "the line holds a NUL. Expected text; is this a binary file?",
    "x" * 200_000 + ",1": (
        "a cell has more than 131,072 characters. Expected pairs of quotes; JSONL takes longer cells."
    ),
}


@given(st.lists(st.sampled_from(["a,1", "naïve,2", ",", *BAD]), max_size=9), st.integers(1, 4))
def test_a_row_that_cannot_be_read_takes_no_other_one_with_it(tmp_path_factory, written, shard_rows):
    content = "\n".join(["text,id", *written, "z,26", ""]).encode("utf-8", "surrogateescape")
    rows, problems = read(tmp_path_factory.mktemp("a"), content, shard_rows=shard_rows)
    numbered = list(enumerate([*written, "z,26"], start=2))
    assert rows == [(number, row.split(",")) for number, row in numbered if row not in BAD]
    assert [problem.line for problem in problems] == [number for number, row in numbered if row in BAD]
    for line, reason in problems:
        row = dict(numbered)[line]
        # A quote that is never closed runs into what comes after it.
        assert reason == BAD[row] or (row.startswith('"') and "a quote " in reason) or "a cell has more" in reason


def test_a_quote_that_is_never_closed_among_quoted_rows(tmp_path):
    rows, problems = read(tmp_path, 'text,id\n"a",1\n"open,2\n"b",3\n\n"c\nd",4\n')
    assert rows == [(2, ["a", "1"]), (4, ["b", "3"]), (6, ["c\nd", "4"])]
    assert [problem.line for problem in problems] == [3]


def test_blanks_within_a_cell_are_kept(tmp_path):
    rows, problems = read(tmp_path, 'text,id\r\n"a\r\n\r\n  \n\t\r\nb",1\r\n  \r\nc,2')
    assert rows == [(2, ["a\r\n\r\n  \n\t\r\nb", "1"]), (8, ["c", "2"])]
    assert not problems


def test_empty_lines_after_a_quote_that_is_never_closed(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text,id\n"open,1\n\n  \nb,2\n')
    [source] = find_inputs([str(tmp_path / "a.csv")]).sources
    [chunk] = cut_source(source, AnnotateSettings())
    assert (chunk.rows, [problem.line for problem in chunk.problems]) == ([(5, ["b", "2"])], [2])
    assert chunk.n_empty == 2


def test_a_line_that_is_too_long_within_a_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 50)
    rows, problems = read(tmp_path, f'text,id\n"open,1\nb,2\n{"x" * 60}\nc,3\n', shard_rows=1)
    assert rows == [(3, ["b", "2"]), (5, ["c", "3"])]
    assert [problem.line for problem in problems] == [2, 4]


def test_rows_that_start_anew_on_every_line_do_not_take_the_square_of_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BYTES_AGAIN", 100_000)
    # Each line opens a cell that is never closed, and goes on with the row of the line before.
    rows, problems = read(tmp_path, "text,id\n" + 'x","\n' * 20_000)
    assert not rows
    assert [problem.line for problem in problems] == [2, 3]
    told = "a quote opens a cell and is never closed. Expected pairs of quotes; JSONL takes longer cells."
    assert [problem.reason for problem in problems] == [
        told,
        f"{told} Too many rows make no sense; the rest of the file is left out.",
    ]


def test_stray_quotes_in_a_tenth_of_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BYTES_AGAIN", 1000)
    written = [f'"open {number},x' if number % 10 == 5 else f"row {number},x" for number in range(5000)]
    rows, problems = read(tmp_path, "\n".join(["text,id", *written]))
    assert [cells for _, cells in rows] == [row.split(",") for row in written if row[0] != '"']
    assert [problem.line for problem in problems] == list(range(7, 5002, 10))


def test_a_row_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "MAX_ROW_CHARS", 1000)
    rows, problems = read(tmp_path, "text,id\na,1\n" + "b,2\n" + '"\n",' * 300 + "1\nc,3\n")
    assert [row for _, row in rows][:2] == [["a", "1"], ["b", "2"]]
    assert rows[-1][1] == ["c", "3"]
    assert problems[0].line == 4
    assert problems[0].reason.startswith("a row has more than 1,000 characters on several lines. Expected pairs of")


@pytest.mark.parametrize(
    ("header", "line", "problem"),
    [
        ("body,id", 1, "there is no column 'text' among 'body', 'id'. Pass --text-column with the name of a column."),
        ("text,id,id", 1, "a column is named twice. Expected each name once."),
        ("ents,text", 1, "there is a column 'ents' already. Pass --prefix, so that new columns get other names."),
        (
            '\n"text" ,id',
            2,
            "a quote is closed before its cell ends. Expected pairs of quotes; JSONL takes longer cells.",
        ),
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
