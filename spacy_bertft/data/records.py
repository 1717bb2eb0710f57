"""Rows of named values, whatever the format of their file: JSON objects, cells under a header, or lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.data.files import FileFormat, open_path
from spacy_bertft.data.rows import DELIMITERS, Row, Tally, raise_errors, read_rows
from spacy_bertft.errors import ColumnFormatError, shorten


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


def read_records(path: Path, file_format: FileFormat, tally: Tally, *, text_column: str = "text") -> Iterator[Record]:
    """Read the records of a file; empty lines are left out.

    Args:
        path: The file.
        file_format: `jsonl`; `csv` or `tsv` with a header; or `text`.
        tally: Counts lines on the way.
        text_column: What to call the texts of a file without columns.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read, or the header names a column twice.
    """
    columns: list[str] = []
    with open_path(path) as file:
        for row in raise_errors(read_rows(file, path, file_format, tally=tally), tally):
            if file_format in DELIMITERS and not columns:
                columns = read_header(path, row)
            else:
                yield make_record(path, row.line, row.content, file_format, columns or [text_column])


def read_header(path: Path | str, row: Row) -> list[str]:
    """Read the names of the columns off the first row.

    Raises:
        ColumnFormatError: A name occurs twice.
    """
    columns = [cell.strip() for cell in row.content]
    if len(set(columns)) < len(columns):
        raise ColumnFormatError(path, row.line, "the header names a column twice", "Expected each name once.")
    return columns


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
    if isinstance(content, str):
        return Record(
            path, line, _parse_object(path, line, content) if file_format == "jsonl" else {columns[0]: content}
        )
    return Record(path, line, dict(zip(columns, content, strict=True)))


def _parse_object(path: Path | str, line: int, text: str) -> dict[str, object]:
    expected = "Expected one JSON object per line."
    try:
        values = json.loads(text)
        if "\\u" in text:
            # JSON can spell half a character, which no other format can hold.
            json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        problem = f"it spells a lone surrogate, U+{ord(error.object[error.start]):X}"
        raise ColumnFormatError(path, line, problem, "Expected whole characters.") from error
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        if isinstance(error, RecursionError):  # each Python has its own words for it
            reason = "its brackets are nested too deeply"
        raise ColumnFormatError(path, line, f"the line is not JSON: {reason}", expected) from error
    if not isinstance(values, dict):
        raise ColumnFormatError(path, line, f"the line holds {text[:40]}", expected)
    return values
