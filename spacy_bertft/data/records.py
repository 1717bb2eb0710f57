"""Rows of named values, whatever the format of their file: JSON objects, cells under a header, or lines of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.data.arrow import is_dataset, read_dataset
from spacy_bertft.data.files import FileFormat, check_is_file, open_path
from spacy_bertft.data.rows import (
    DELIMITERS,
    LAYOUT,
    READ_ERRORS,
    Layout,
    Row,
    Tally,
    raise_errors,
    read_rows,
    read_text,
)
from spacy_bertft.errors import ColumnFormatError, DataError, MissingExtraError, read_reason, shorten

_EXPECTED = "Expected one JSON object per line."
# Opens an array of objects, or of texts with annotations, or an object over several lines, rather than lines of these.
_WHOLE = re.compile(r'\ufeff?\s*(\[(?!\s*")|\{\s*\n)')
_SAMPLE_BYTES = 1 << 12


@dataclass(frozen=True)
class Record:
    """A row of named values.

    Attributes:
        path: The file.
        line: Where it starts, from 1.
        values: Its values by the name of their column.
    """

    path: Path | str
    line: int
    values: Mapping[str, object]

    def error(self, problem: str, expected: str) -> ColumnFormatError:
        """Make an error with the place of the row."""
        return ColumnFormatError(self.path, self.line, problem, expected)

    def get(self, setting: str, *columns: str) -> object:
        """Return the value of the first of some columns that the row has.

        Args:
            setting: Which setting names the column, for the error.
            columns: Names of columns, the preferred one first.

        Raises:
            ColumnFormatError: It has none of them.
        """
        for column in columns:
            if column in self.values:
                return self.values[column]
        *others, last = map(repr, columns)
        wanted = f"{', '.join(others)} or {last}" if others else last
        found = shorten(", ".join(repr(name[:40]) for name in self.values) or "none")
        option = setting.replace("_", "-")
        raise self.error(f"there is no column {wanted} among {found}", f"Pass --{option} with the name of a column.")

    def get_text(self, setting: str, column: str) -> str:
        """Return the value of a column that holds a string.

        Raises:
            ColumnFormatError: There is no such column, or it holds something else.
        """
        text = self.get(setting, column)
        if isinstance(text, str):
            return text
        raise self.error(f"the column {column!r} holds {json.dumps(text, default=str)[:40]}", "Expected a string.")


def read_records(
    path: Path, file_format: FileFormat, tally: Tally, *, text_column: str = "text", layout: Layout = LAYOUT
) -> Iterator[Record]:
    """Read the records of a file; empty lines are left out, and headers that are repeated where files were joined.

    Columns without a name of their own are called by their number, from 1.

    Args:
        path: The file.
        file_format: `json`, `jsonl`, `csv`, `tsv`, `xlsx` or `text`.
        tally: Counts lines on the way.
        text_column: What to call the texts of a file without columns.
        layout: How rows are laid out.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read.
        MissingExtraError: A package for the format is not installed.
    """
    if file_format in ("json", "jsonl") and is_dataset(path):
        for number, values in enumerate(read_dataset(path), start=1):
            tally.n_lines += 1
            yield Record(path, number, values)
    elif file_format == "xlsx":
        yield from _name_cells(path, raise_errors(_read_sheet(path, tally), tally), layout, tally)
    elif file_format == "json" and _is_whole(path, layout):
        yield from _read_json(path, tally, layout)
    else:
        row_format: FileFormat = "jsonl" if file_format == "json" else file_format
        with open_path(path, layout.encoding) as file:
            rows = raise_errors(read_rows(file, path, row_format, layout, tally), tally)
            if row_format in DELIMITERS:
                yield from _name_cells(path, rows, layout, tally)
            else:
                for row in rows:
                    yield make_record(path, row.line, row.content, row_format, [text_column])


def _name_cells(path: Path, rows: Iterable[Row], layout: Layout, tally: Tally) -> Iterator[Record]:
    """Name cells by the first row, or by their number."""
    header: Sequence[str] = []
    has_header = layout.header is not False
    for row in rows:
        if has_header and not header:
            header = row.content
            columns = [cell.strip() for cell in header]
            names = [name if columns.count(name) == 1 and name else str(n) for n, name in enumerate(columns, 1)]
        elif has_header and row.content == header:
            tally.left_out["repeated header rows"] += 1
        else:
            found = names if has_header else map(str, range(1, len(row.content) + 1))
            yield Record(path, row.line, dict(zip(found, row.content, strict=False)))


def _read_sheet(path: Path, tally: Tally) -> Iterator[Row]:
    """Read the rows of an Excel file, their cells as text."""
    check_is_file(path)
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingExtraError("An Excel file", "xlsx") from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        tally.left_out["sheets after the first one"] += len(book.worksheets) - 1
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
            tally.n_lines += 1
            cells = ["" if value is None else str(value) for value in values]
            yield Row(number, cells if any(cells) else [])
    except Exception as error:  # of zipfile, of XML, and its own
        raise DataError(f"{path} cannot be read: {read_reason(error)}. Expected an Excel file, .xlsx.") from error


def _is_whole(path: Path, layout: Layout) -> bool:
    with open_path(path, layout.encoding) as file, suppress(*READ_ERRORS):
        return _WHOLE.match(file.read(_SAMPLE_BYTES).decode("utf-8", "replace")) is not None
    return False


def _read_json(path: Path, tally: Tally, layout: Layout) -> Iterator[Record]:
    """Read the elements of an array, or objects one after the other. The file is read whole."""
    text = read_text(path, layout.encoding, "Expected JSON in UTF-8.")
    decoder, line, end = json.JSONDecoder(), 1, 0
    between = re.compile(r"[\s,\]]*")
    if is_array := text.lstrip().startswith("["):
        end = text.index("[") + 1
    tally.n_lines += text.count("\n") + 1
    while (match := between.match(text, end)) and (start := match.end()) < len(text):
        line += text.count("\n", end, start)
        with _name_json_errors(path, line):
            value, end = decoder.raw_decode(text, start)
            yield _make_object(path, line, text[start:end], value)
        line += text.count("\n", start, end)
    if is_array and not text.rstrip().endswith("]"):
        raise ColumnFormatError(path, line, "the file ends within its array", "Expected ] at its end; is it cut off?")


def make_record(
    path: Path | str, line: int, content: str | Sequence[str], file_format: FileFormat, columns: Sequence[str]
) -> Record:
    """Make the record of a row.

    Args:
        path: Its file, for errors.
        line: Where it starts, from 1.
        content: The line, or the cells.
        file_format: Which of these; whether a line is a JSON object.
        columns: The names of the cells, or of the only column.

    Raises:
        ColumnFormatError: It is not a JSON object.
    """
    if not isinstance(content, str):
        return Record(path, line, dict(zip(columns, content, strict=True)))
    if file_format == "text":
        return Record(path, line, {columns[0]: content})
    with _name_json_errors(path, line):
        return _make_object(path, line, content, json.loads(content))


def _make_object(path: Path | str, line: int, text: str, value: object) -> Record:
    if "\\u" in text:
        # JSON can spell half a character, which no other format can hold.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    match value:
        case dict():
            return Record(path, line, value)
        case [str(content), dict(annotations)]:
            return Record(path, line, {**annotations, "text": content})
    raise ColumnFormatError(path, line, f"the line holds {text[:40]}", _EXPECTED)


@contextmanager
def _name_json_errors(path: Path | str, line: int) -> Iterator[None]:
    try:
        yield
    except ColumnFormatError:
        raise
    except UnicodeEncodeError as error:
        problem = f"it spells a lone surrogate, U+{ord(error.object[error.start]):X}"
        raise ColumnFormatError(path, line, problem, "Expected whole characters.") from error
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        if isinstance(error, RecursionError):  # each Python has its own words for it
            reason = "its brackets are nested too deeply"
        raise ColumnFormatError(path, line, f"the line is not JSON: {reason}", _EXPECTED) from error
