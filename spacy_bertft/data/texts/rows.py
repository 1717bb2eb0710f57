"""Files of labelled texts, of any format → rows with a label, before the label is understood."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

from spacy_bertft.data.arrow import is_dataset
from spacy_bertft.data.files import FileFormat, check_is_file, find_format
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import DELIMITERS, Tally
from spacy_bertft.data.texts.formats import READERS
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.tools import unify
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

_JSON = ("jsonl", "spans", "label-studio", "dataturks", "spacy-json")
_FORMATS = (*DELIMITERS, "xlsx", *_JSON, *READERS)
_BY_SUFFIX = {".json": "jsonl", ".xlsx": "xlsx", ".ann": "brat", ".pubtator": "pubtator"}


def read_texts(path: Path, file_format: str, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the records of a file of any format; what an annotation tool wrote has the fields `text`, `spans`, `label`.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: Something in it cannot be read.
    """
    if reader := READERS.get(file_format):
        return reader(path, options, tally)
    if file_format not in _JSON:
        return read_records(path, cast(FileFormat, file_format), tally, layout=options)
    records = read_records(path, "json", tally, layout=options)
    return chain.from_iterable(unify(record, tally) for record in records)


def find_text_format(path: Path, options: TextOptions) -> str:
    """Return the format of a file.

    Raises:
        SettingError: No format was given, and the name of the file does not tell.
    """
    given = options.file_format
    by_name = "jsonl" if is_dataset(path) else _BY_SUFFIX.get(path.suffix.lower()) or find_format(path)[0]
    found = given or by_name
    if found in _FORMATS:
        return found
    advice = "" if given else f", since the name of {path} does not tell: pass --format"
    raise SettingError("file_format", given, f"one of {', '.join(_FORMATS)}{advice}")


def find_formats(paths: Sequence[Path], options: TextOptions) -> list[tuple[Path, str]]:
    """Return files with their formats.

    Raises:
        DataError: No file was given, or there is no such file.
        SettingError: The format of a file is not known.
    """
    if not paths:
        raise DataError("No input file was given. Expected at least one CSV, TSV or JSONL file.")
    for path in paths:
        if not (path.is_dir() or is_dataset(path)):
            check_is_file(path)
    return [(path, find_text_format(path, options)) for path in paths]


_ANSWER = "answer"


@dataclass(frozen=True)
class LabelledRow:
    """A text with its label as it is in the file.

    Attributes:
        record: The row.
        text: The text, exactly.
        second: The second text of a pair; None for single texts.
        label: The value of the label column: a string or, in JSON, any value. Of label and number columns, the value of
            each by name.
        answer: The value of the column `answer`, where Prodigy writes its decision; None if there is none.
        options: The labels that Prodigy's choice interface offered; `label` lists the selected ones. None elsewhere.
        endings: Of a choice, its endings; the text is then the prompt, and the second one what each ending begins with.
            None for anything else.
    """

    record: Record
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
        return self.record.error(problem, expected)


def read_labelled_rows(
    path: Path, file_format: str, options: TextOptions, tally: Tally | None = None
) -> Iterator[LabelledRow]:
    """Read the rows of a file, one at a time.

    Blanks around a label and around the names in a header are left out; texts are taken as they are.

    Args:
        path: The file.
        file_format: Its format.
        options: Which columns hold texts and labels.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read, or has no text or label.
        SettingError: Two settings mean the same column.
    """
    is_table = file_format in (*DELIMITERS, "xlsx")
    located = None if is_table else options
    tally = Tally() if tally is None else tally
    for record in read_texts(path, file_format, options, tally):
        if located is None:
            located = options.locate(list(record.values))
            if options.header is None and located.text_column != options.text_column:
                tally.note("first rows read as names of columns (--no-header if these are texts)", f"{path}, line 1")
        yield _read_row(record, located, is_table=is_table)


def _read_row(record: Record, options: TextOptions, *, is_table: bool) -> LabelledRow:
    values, columns = record.values, options.columns
    used = (options.label_column, *columns.values(), *options.endings)
    # An answer that is null was not given, unlike one that is not there.
    answer = _strip(values[_ANSWER] or "null") if _ANSWER in values and _ANSWER not in used else None
    text = record.get_text("text_column", options.text_column)
    offered, selected = (None if any(used) else _find_choice(values)) or (None, None)
    label: object = selected
    if columns:
        setting = "label_columns" if options.label_columns else "number_columns"
        # An object may lack a field; a row of a table that lacks a cell may have its cells in the wrong columns.
        get: Callable[[str], object] = partial(record.get, setting) if is_table else values.get
        label = {name: _strip(get(column)) for name, column in columns.items()}
    elif options.label_column and "," in options.label_column:
        found = [_strip(record.get("label_column", column)) for column in options.label_column.split(",")]
        label = [each for each in found if each not in (None, "")]
    elif offered is None and answer != "ignore":
        label = _strip(record.get("label_column", *options.label_fields))
    column = options.second_text_column
    second = None if column is None else record.get_text("second_text_column", column)
    endings = _read_endings(record, options) if options.endings else None
    return LabelledRow(record, text, second, label, answer, offered, endings)


def _read_endings(record: Record, options: TextOptions) -> tuple[str, ...]:
    """Read the endings of a row, each in its column or all in a list, without empty ones after the last one."""
    found: list[Any] = []
    for column in options.endings:
        value = record.get("choice_columns", column)
        found += [each or "" for each in (value if isinstance(value, list) else [value])]
    if not all(isinstance(each, str) for each in found):
        raise record.error(f"the endings are {json.dumps(found)[:40]}", "Expected strings, or a list of them.")
    while found and not found[-1].strip():
        found.pop()
    return tuple(found)


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _find_choice(values: Mapping[str, object]) -> tuple[list[object], list[object]] | None:
    """Find what Prodigy's choice interface offered, and what was selected there.

    It takes precedence over other labels, which were there before, such as those that a pipeline predicted.
    """
    offered, selected = values.get("options"), values.get("accept", [] if _ANSWER in values else None)
    if not isinstance(offered, list) or not isinstance(selected, list):
        return None
    if not all(isinstance(option, dict) and "id" in option for option in offered):
        return None
    return [option["id"] for option in offered], selected
