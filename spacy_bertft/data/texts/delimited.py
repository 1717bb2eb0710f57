"""CSV and TSV files → rows, one at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.lines import read_raw_lines, remove_byte_order_marks
from spacy_bertft.data.texts.options import TextOptions, check_columns_differ
from spacy_bertft.data.texts.rows import ANSWER_COLUMN, Row, RowTally
from spacy_bertft.errors import ColumnFormatError

DelimitedFormat = Literal["csv", "tsv"]

DELIMITERS: dict[DelimitedFormat, str] = {"csv": ",", "tsv": "\t"}

# A row that has so many characters goes on to no other line: cells of it may end at any time, but it never does.
MAX_ROW_CHARS = 16 * 1024 * 1024

# What the errors of the csv module mean, and ours, by a part of their text.
_CSV_PROBLEMS = {
    "field larger": "a cell has more than {limit:,} characters",
    "row larger": "a row has more than {row_limit:,} characters on several lines",
    "unexpected end": "a quote opens a cell and is never closed",
    "expected after": "a quote is closed before its cell ends",
    "new-line": "a carriage return stands in a cell without quotes",
}
_CSV_ADVICE = (
    "Is a quote left open, or is it text? Pass --no-quoting where quotes are text; longer cells can be read from JSONL."
)


def read_delimited(
    path: Path, file_format: DelimitedFormat, options: TextOptions, tally: RowTally | None = None
) -> Iterator[Row]:
    """Read the rows of a CSV or TSV file.

    Blanks around a label and around the names in the header are left out; texts are taken as they are.

    Args:
        path: The file.
        file_format: What parts its cells: commas or tabs.
        options: Where texts and labels stand.
        tally: Counts the lines on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read, has another number of cells than the first one, or the header lacks a
            column or names it twice.
        SettingError: Two settings mean the same column.
    """
    tally = RowTally() if tally is None else tally
    rows = _read_cells(path, file_format, is_quoted=options.is_quoted, tally=tally)
    first = next(rows, None)
    if first is None:
        return
    first_line, first_cells = first
    places = _find_columns(path, first_line, first_cells, options)
    if not options.has_header:
        yield _make_row(path, first_line, first_cells, places)
    for line, cells in rows:
        if options.has_header and cells == first_cells:
            # Where files were joined with their headers.
            tally.n_headers += 1
            continue
        if len(cells) != len(first_cells):
            problem = f"the row has {len(cells)} cell{'s' if len(cells) > 1 else ''}"
            expected = f"Expected {len(first_cells)} as in line {first_line}, the file being read as {file_format}."
            raise ColumnFormatError(path, line, problem, expected)
        yield _make_row(path, line, cells, places)


def _make_row(path: Path, line: int, cells: Sequence[str], places: dict[str, int]) -> Row:
    second = cells[places["second_text_column"]] if "second_text_column" in places else None
    answer = cells[places[ANSWER_COLUMN]].strip() if ANSWER_COLUMN in places else None
    return Row(path, line, cells[places["text_column"]], second, cells[places["label_column"]].strip(), answer)


def _read_cells(
    path: Path, file_format: DelimitedFormat, *, is_quoted: bool, tally: RowTally
) -> Iterator[tuple[int, list[str]]]:
    lines = _RowLines(read_raw_lines(path), tally)
    reader = csv.reader(
        lines,
        delimiter=DELIMITERS[file_format],
        quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE,
        # Otherwise `"a" b` would be read as `a b`, and an open quote would take the rest of the file without a word.
        strict=True,
    )
    while True:
        line, n_lines_before = reader.line_num + 1, reader.line_num
        lines.n_chars = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ColumnFormatError(path, line, name_csv_problem(error), _CSV_ADVICE) from error
        n_lines = reader.line_num - n_lines_before
        tally.n_lines += n_lines
        if len(cells) <= 1 and not "".join(cells).strip():
            tally.n_empty_lines += 1
        else:
            if n_lines > 1:
                _count_merged(cells, f"{path}, line {line}", DELIMITERS[file_format], tally)
            yield line, cells


def _count_merged(cells: Sequence[str], place: str, delimiter: str, tally: RowTally) -> None:
    """Count the cells that look like several rows: a quote that is text opens a cell, and the next one closes it."""
    n_merged = sum(delimiter in cell and ("\n" in cell or "\r" in cell) for cell in cells)
    if n_merged:
        tally.n_merged += n_merged
        tally.first_merged = tally.first_merged or place


class _RowLines:
    """Lines for a reader of rows, no more of them for one row than `check_row` allows.

    A byte order mark at the start of a row is removed: files are joined with their marks.

    Attributes:
        n_chars: Characters of the row so far; the user sets it to 0 where a row starts.
    """

    def __init__(self, lines: Iterator[str], tally: RowTally) -> None:
        self._lines = lines
        self._tally = tally
        self.n_chars = 0

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        check_row(self.n_chars)
        line = next(self._lines)
        if not self.n_chars:
            line = remove_byte_order_marks(line, self._tally)
        self.n_chars += len(line)
        return line


def check_row(n_chars: int) -> None:
    """Check that a row which has some characters already may go on to another line.

    Raises:
        csv.Error: It has too many.
    """
    if n_chars > MAX_ROW_CHARS:
        raise csv.Error("row larger than limit")


def name_csv_problem(error: csv.Error) -> str:
    """Say what an error of the csv module means."""
    problems = (text for part, text in _CSV_PROBLEMS.items() if part in str(error))
    return next(problems, str(error)).format(limit=csv.field_size_limit(), row_limit=MAX_ROW_CHARS)


def _find_columns(path: Path, line: int, cells: Sequence[str], options: TextOptions) -> dict[str, int]:
    """Find the columns by their settings, as indices from 0, in the first row."""
    names = [cell.strip() for cell in cells] if options.has_header else []
    places = {}
    for setting, column in options.columns.items():
        option = f"--{setting.replace('_', '-')}"
        if names.count(column) > 1:
            problem = f"the header names the column {column!r} {names.count(column)} times"
            raise ColumnFormatError(path, line, problem, f"Pass {option} with the number of the column, from 1.")
        if column in names:
            places[setting] = names.index(column)
        elif (number := read_number(column)) is not None and 1 <= number <= len(cells):
            places[setting] = number - 1
        else:
            problem = f"there is no column {column!r} among {_describe(names, len(cells))}"
            raise ColumnFormatError(path, line, problem, _advise(option, options))
    check_columns_differ(options.columns, places)
    if names.count(ANSWER_COLUMN) == 1 and names.index(ANSWER_COLUMN) not in places.values():
        places[ANSWER_COLUMN] = names.index(ANSWER_COLUMN)
    return places


def _describe(names: Sequence[str], n_columns: int) -> str:
    if not names:
        return f"{n_columns} without names"
    # Where a text was taken for the header, its start is enough.
    return ", ".join(repr(name[:40]) for name in names)


def _advise(option: str, options: TextOptions) -> str:
    if options.has_header:
        return f"Pass {option} with the name or the number of a column, or --no-header if the file has none."
    return f"Pass {option} with the number of a column, from 1."
