"""JSONL files → rows, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from spacy_bertft.data.lines import read_lines
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import ANSWER_COLUMN, Row, RowTally
from spacy_bertft.errors import ColumnFormatError

_ADVICE = "Pass --text-column, --label-column or --second-text-column with the name of a field."


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
    has_answers = ANSWER_COLUMN not in options.columns.values()
    for fields in read_objects(path, tally):
        # An answer that is null was not given, unlike one that is not there.
        text = fields.get_text(options.text_column)
        answer = (fields.values[ANSWER_COLUMN] or "null") if has_answers and ANSWER_COLUMN in fields.values else None
        choice = None if options.label_column else _find_choice(fields.values)
        label: object = None
        if choice is not None:
            label = choice.selected
        elif answer != "ignore":
            label = fields.get(*options.label_fields)
        yield Row(
            path=path,
            line=fields.number,
            text=text,
            second=None if second is None else fields.get_text(second),
            label=label,
            answer=answer,
            options=None if choice is None else choice.offered,
        )


class _Choice(NamedTuple):
    offered: list[object]
    selected: list[object]


def _find_choice(values: Mapping[str, object]) -> _Choice | None:
    """Find what Prodigy's choice interface offered, and what was selected there.

    It goes before other labels: those were there before, such as what a pipeline predicted.
    """
    offered, selected = values.get("options"), values.get("accept", [] if ANSWER_COLUMN in values else None)
    if not isinstance(offered, list) or not isinstance(selected, list):
        return None
    if not all(isinstance(option, dict) and "id" in option for option in offered):
        return None
    return _Choice([option["id"] for option in offered], selected)


def read_objects(path: Path, tally: RowTally | None = None, advice: str = _ADVICE) -> Iterator[Fields]:
    """Read the fields of each line, whatever they mean.

    Args:
        path: The file.
        tally: Counts the lines on the way.
        advice: What to do about a field that is not there.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not a JSON object.
    """
    tally = RowTally() if tally is None else tally
    for number, line in read_lines(path, tally):
        if line.strip():
            yield Fields(path, number, line, advice)
        else:
            tally.n_empty_lines += 1


class Fields:
    """The fields of one line.

    Args:
        path: The file.
        number: Number of the line, from 1.
        line: The line.
        advice: What to do about a field that is not there.

    Raises:
        ColumnFormatError: The line is not a JSON object.
    """

    def __init__(self, path: Path, number: int, line: str, advice: str = _ADVICE) -> None:
        self.path = path
        self.number = number
        self.advice = advice
        self.values = self._parse(line)

    def get(self, *names: str) -> object:
        """Return the first of some fields that is there.

        Raises:
            ColumnFormatError: None is.
        """
        for name in names:
            if name in self.values:
                return self.values[name]
        *others, last = map(repr, names)
        wanted = f"{', '.join(others)} or {last}" if others else last
        found = ", ".join(map(repr, self.values)) or "none"
        raise self._error(f"there is no field {wanted} among {found}", self.advice)

    def get_text(self, name: str) -> str:
        """Return a field that holds a string.

        Raises:
            ColumnFormatError: It is not there, or holds something else.
        """
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
