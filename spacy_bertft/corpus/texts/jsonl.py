"""JSONL files → rows, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ...errors import ColumnFormatError
from ..lines import read_lines
from .options import TextOptions
from .rows import Row, RowTally


def read_jsonl(path: Path, options: TextOptions, tally: RowTally | None = None) -> Iterator[Row]:
    """Read the rows of a file with a JSON object on each line.

    Args:
        path: The file.
        options: Which fields hold texts and labels.
        tally: Counts the lines on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not a JSON object, lacks a field, or has something else than a string for a text.
    """
    second = options.second_text_column
    for fields in _read_fields(path, RowTally() if tally is None else tally):
        yield Row(
            path=path,
            line=fields.number,
            text=fields.get_text(options.text_column),
            second=None if second is None else fields.get_text(second),
            label=fields.get(*options.label_fields),
        )


def read_jsonl_texts(path: Path, column: str, tally: RowTally) -> Iterator[str]:
    """Read one field of each line, a text without a label.

    Args:
        path: The file.
        column: The field.
        tally: Counts the lines on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not a JSON object, lacks the field, or has something else than a string there.
    """
    return (fields.get_text(column) for fields in _read_fields(path, tally))


def _read_fields(path: Path, tally: RowTally) -> Iterator[_Fields]:
    for number, line in read_lines(path):
        tally.n_lines += 1
        if line.strip():
            yield _Fields(path, number, line)
        else:
            tally.n_empty_lines += 1


class _Fields:
    """The fields of one line."""

    def __init__(self, path: Path, number: int, line: str) -> None:
        self.path = path
        self.number = number
        self.values = self._parse(line)

    def get(self, *names: str) -> object:
        for name in names:
            if name in self.values:
                return self.values[name]
        *others, last = map(repr, names)
        wanted = f"{', '.join(others)} or {last}" if others else last
        found = ", ".join(map(repr, self.values)) or "none"
        advice = "Pass --text-column, --label-column or --second-text-column with the name of a field."
        raise self._error(f"there is no field {wanted} among {found}", advice)

    def get_text(self, name: str) -> str:
        text = self.get(name)
        if isinstance(text, str):
            return text
        raise self._error(f"the field {name!r} holds {json.dumps(text)[:40]}", "Expected a string.")

    def _parse(self, line: str) -> dict[str, object]:
        try:
            values = json.loads(line)
            if "\\u" in line:
                # JSON can spell half a character, which no other format can hold.
                json.dumps(values, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise self._error(
                f"it spells a lone surrogate, U+{ord(error.object[error.start]):X}", "Mend it."
            ) from error
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise self._error(f"the line is not JSON: {reason}", "Expected one JSON object a line.") from error
        if not isinstance(values, dict):
            raise self._error(f"the line holds {line[:40]}", "Expected one JSON object a line.")
        return values

    def _error(self, problem: str, expected: str) -> ColumnFormatError:
        return ColumnFormatError(self.path, self.number, problem, expected)
