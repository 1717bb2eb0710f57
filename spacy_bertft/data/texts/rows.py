"""CSV, TSV and JSONL files → rows with a label, before the label is understood; and how such files are to be read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spacy_bertft.data.choices import parse_choice, read_number
from spacy_bertft.data.files import find_format, open_path
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import DELIMITERS, Row, Tally, raise_errors, read_rows
from spacy_bertft.errors import ColumnFormatError, SettingError, format_count

TextFormat = Literal["csv", "tsv", "jsonl"]

_FORMATS: tuple[TextFormat, ...] = ("csv", "tsv", "jsonl")

# What texts with labels are stored under: as one class, as in `doc.cats`, or as a list.
_LABEL_FIELDS = ("label", "cats", "labels")


@dataclass(frozen=True)
class TextOptions:
    """How files of labelled texts are to be read; see `convert_texts`.

    Raises:
        SettingError: A value is not among the choices, two columns are one, or there is a first label without names.
    """

    file_format: str | None = None
    text_column: str = "text"
    label_column: str | None = None
    number_columns: Mapping[str, str] = field(default_factory=dict)
    choice_columns: tuple[str, ...] = ()
    second_text_column: str | None = None
    header: bool = True
    quoting: bool = True
    ragged: bool = False
    label_separator: str | None = None
    label_names: tuple[str, ...] = ()
    first_label: int | None = None

    def __post_init__(self) -> None:
        if self.file_format is not None:
            parse_choice("file_format", self.file_format, _FORMATS)
        if self.label_separator is not None and not self.label_separator.strip(" "):
            raise SettingError("label_separator", self.label_separator, "what separates labels, such as a comma")
        if self.first_label not in (None, 0, 1):
            raise SettingError("first_label", self.first_label, "0 or 1, the number of the first name in --label-names")
        if self.first_label is not None and not (self.label_names or self.choice_columns):
            raise SettingError(
                "first_label", self.first_label, "--label-names with it: a file of names for the numbers"
            )
        check_columns_differ(self.columns, self.columns)

    @property
    def columns(self) -> dict[str, str]:
        """The columns of CSV and TSV files, by the name of their setting."""
        labels = {f"{_NUMBER}{name}": column for name, column in self.number_columns.items()}
        columns = {
            "text_column": self.text_column,
            **(labels or {"label_column": self.label_column or "label"}),
            "second_text_column": self.second_text_column,
            **{f"{_CHOICE}{number}": column for number, column in enumerate(self.choice_columns)},
        }
        return {setting: column for setting, column in columns.items() if column is not None}

    @property
    def label_fields(self) -> list[str]:
        """The fields of JSONL files that may hold labels; the first of them that a line has counts."""
        if self.label_column is not None:
            return [self.label_column]
        return [field for field in _LABEL_FIELDS if field not in (self.text_column, self.second_text_column)]

    def get_format(self, path: Path) -> TextFormat:
        """Return the format of a file.

        Raises:
            SettingError: No format was given, and the name of the file does not tell.
        """
        found = self.file_format or find_format(path)[0]
        if found not in _FORMATS:
            expected = f"one of {', '.join(_FORMATS)}, since the name of {path} does not tell: pass --format"
            raise SettingError("file_format", None, expected)
        return parse_choice("file_format", found, _FORMATS)


def check_columns_differ(columns: Mapping[str, str], places: Mapping[str, Hashable]) -> None:
    """Check that no two settings mean the same column.

    Args:
        columns: The name or number that was given, by setting.
        places: The column that it means, by setting.

    Raises:
        SettingError: Two mean the same.
    """
    settings: dict[Hashable, str] = {}
    for setting, place in places.items():
        other = settings.setdefault(place, setting)
        if other != setting:
            raise SettingError(setting, columns[setting], f"another column than {other}")


_ANSWER = "answer"
_NUMBER = "number_columns: "  # opens the setting of the column of a number, before its name
_CHOICE = "choice_columns: "  # and that of an ending, before its position


@dataclass(frozen=True)
class LabelledRow:
    """A row as it is in the file.

    Attributes:
        path: The file.
        line: Line number of its start, from 1.
        text: The text, exactly.
        second: The second text of a pair; None for single texts.
        label: The value of the label column: a string or, in JSONL, any value. Of numbers, the value of each by name.
        answer: The value of the column `answer`, where Prodigy writes its decision; None if there is none.
        options: The labels that Prodigy's choice interface offered; `label` lists the selected ones. None elsewhere.
        endings: Of a choice, its endings; the text is then the prompt, and the second one what each ending begins with.
            None for anything else.
    """

    path: Path
    line: int
    text: str
    second: str | None
    label: object
    answer: object = None
    options: list[object] | None = None
    endings: tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The text; both of a pair; or the prompt and all endings."""
        if self.endings is not None:
            return (self.text, *(" ".join(filter(None, (self.second, each))) for each in self.endings))
        return (self.text,) if self.second is None else (self.text, self.second)

    def error(self, problem: str, expected: str) -> ColumnFormatError:
        """Make an error with the place of the row."""
        return ColumnFormatError(self.path, self.line, problem, expected)


@dataclass
class TextTally(Tally):
    """What was seen while files of labelled texts were read.

    Attributes:
        answers: Rows by their answer in Prodigy.
        n_merged: Quoted cells that hold a line end and the separator of cells, so that they may be several rows.
        first_merged: Where the first of them is.
    """

    answers: Counter[str] = field(default_factory=Counter)
    n_merged: int = 0
    first_merged: str = ""


def read_labelled_rows(
    path: Path, file_format: TextFormat, options: TextOptions, tally: TextTally | None = None
) -> Iterator[LabelledRow]:
    """Read the rows of a file, one at a time; empty lines are left out.

    In CSV and TSV, blanks around a label and around the names in the header are left out; texts are taken as they are.

    Args:
        path: The file.
        file_format: Its format.
        options: Which columns hold texts and labels.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read, or has no text; a column does not exist or exists twice.
        SettingError: Two settings mean the same column.
    """
    tally = TextTally() if tally is None else tally
    if file_format != "jsonl":
        return _read_cells(path, file_format, options, tally)
    return (_read_object(path, record, options) for record in read_records(path, "jsonl", tally))


def _read_cells(path: Path, file_format: TextFormat, options: TextOptions, tally: TextTally) -> Iterator[LabelledRow]:
    with open_path(path) as file:
        read = read_rows(file, path, file_format, is_quoted=options.quoting, is_ragged=options.ragged, tally=tally)
        rows = raise_errors(read, tally)
        first = next(rows, None)
        if first is None:
            return
        places = _find_columns(path, first, options)
        second, answer = places.get("second_text_column"), places.get(_ANSWER)
        endings = [f"{_CHOICE}{number}" for number in range(len(options.choice_columns))]
        for row in rows if options.header else chain([first], rows):
            cells = row.content
            if options.header and cells == first.content:  # files were joined with their headers
                tally.left_out["repeated header rows"] += 1
                continue
            if len(cells) <= max(places.values()):  # of ragged rows
                problem, n_cells = f"the row has {format_count(len(cells), 'cell')}", max(places.values()) + 1
                raise ColumnFormatError(path, row.line, problem, f"Expected {n_cells} or more, which are read.")
            # A quote that is text may open a cell, and the next one close it.
            n_merged = sum(DELIMITERS[file_format] in cell and not {"\n", "\r"}.isdisjoint(cell) for cell in cells)
            if n_merged:
                tally.n_merged += n_merged
                tally.first_merged = tally.first_merged or f"{path}, line {row.line}"
            yield LabelledRow(
                path,
                row.line,
                text=cells[places["text_column"]],
                second=None if second is None else cells[second],
                label={name: cells[places[f"{_NUMBER}{name}"]].strip() for name in options.number_columns}
                or cells[places["label_column"]].strip(),
                answer=None if answer is None else cells[answer].strip(),
                endings=_read_endings([cells[places[each]] for each in endings], path, row.line),
            )


def _read_endings(values: list[Any], path: Path, line: int) -> tuple[str, ...] | None:
    """Read endings, of which a value of JSON may list several; a row may have fewer than others; None of no columns."""
    found = [each or "" for value in values for each in (value if isinstance(value, list) else [value])]
    if not all(isinstance(each, str) for each in found):
        problem = f"the endings are {json.dumps(found)[:40]}"
        raise ColumnFormatError(path, line, problem, "Expected strings, or a list of them.")
    while found and not found[-1].strip():
        found.pop()
    return tuple(found) if values else None


def _find_columns(path: Path, first: Row, options: TextOptions) -> dict[str, int]:
    """Find the columns by their settings, as indices from 0, in the first row."""
    names = [cell.strip() for cell in first.content] if options.header else []
    n_columns = len(first.content)
    places = {}
    for setting, column in options.columns.items():
        option = f"--{setting.partition(':')[0].replace('_', '-')}"
        if names.count(column) > 1:
            problem = f"the header names the column {column!r} {names.count(column)} times"
            expected = f"Pass {option} with the number of the column, from 1."
            raise ColumnFormatError(path, first.line, problem, expected)
        if column in names:
            places[setting] = names.index(column)
        elif (number := read_number(column)) is not None and 1 <= number <= n_columns:
            places[setting] = number - 1
        else:
            # Where a text was taken for the header, its start is enough.
            found = ", ".join(repr(name[:40]) for name in names) or f"{n_columns} without names"
            expected = f"Pass {option} with the number of a column, from 1."
            if options.header:
                expected = (
                    f"Pass {option} with the name or the number of a column, or --no-header if the file has none."
                )
            raise ColumnFormatError(path, first.line, f"there is no column {column!r} among {found}", expected)
    check_columns_differ(options.columns, places)
    if names.count(_ANSWER) == 1 and names.index(_ANSWER) not in places.values():
        places[_ANSWER] = names.index(_ANSWER)
    return places


def _read_object(path: Path, record: Record, options: TextOptions) -> LabelledRow:
    values, second = record.values, options.second_text_column
    # An answer that is null was not given, unlike one that is not there.
    has_answer = _ANSWER in values and _ANSWER not in options.columns.values()
    answer = (values[_ANSWER] or "null") if has_answer else None
    text = record.get_text("text_column", options.text_column)
    is_plain = not (options.label_column or options.number_columns or options.choice_columns)
    choice = _find_choice(values) if is_plain else None
    label: object = None
    if options.number_columns:
        label = {name: values.get(column) for name, column in options.number_columns.items()}
    elif choice is not None:
        label = choice.selected
    elif answer != "ignore":
        label = record.get("label_column", *options.label_fields)
    return LabelledRow(
        path,
        record.line,
        text,
        second=None if second is None else record.get_text("second_text_column", second),
        label=label,
        answer=answer,
        options=None if choice is None else choice.offered,
        endings=_read_endings(
            [record.get("choice_columns", column) for column in options.choice_columns], path, record.line
        ),
    )


class _Choice(NamedTuple):
    offered: list[object]
    selected: list[object]


def _find_choice(values: Mapping[str, object]) -> _Choice | None:
    """Find what Prodigy's choice interface offered, and what was selected there.

    It takes precedence over other labels, which were there before, such as those that a pipeline predicted.
    """
    offered, selected = values.get("options"), values.get("accept", [] if _ANSWER in values else None)
    if not isinstance(offered, list) or not isinstance(selected, list):
        return None
    if not all(isinstance(option, dict) and "id" in option for option in offered):
        return None
    return _Choice([option["id"] for option in offered], selected)
