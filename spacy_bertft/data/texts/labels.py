"""Rows with a label → texts with the values of their labels, the gold standard of `doc.cats`.

Prodigy's answers say what is known: `accept` confirms the labels of a row. `reject` says that they are wrong, and
nothing about the others: "we don't know the true labels, but we know the ones that are definitely 0". `ignore` was
skipped.

Source: https://support.prodi.gy/t/purpose-of-the-reject-button-in-multi-text-classification/3012
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.split import make_key
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow, read_labelled_rows

# What a cell of a label's own column says, as files spell it.
_FLAGS: Mapping[str, float | None] = {
    **dict.fromkeys(("true", "yes"), 1.0),
    **dict.fromkeys(("false", "no"), 0.0),
    **dict.fromkeys(("none", "null", "nan"), None),
}
# From this value on a text counts as having a label.
PRESENT = 0.5


def read_cats(row: LabelledRow, options: TextOptions) -> dict[str, float]:
    """Read the labels of a row, with their values.

    Args:
        row: Its label is a string, which is one label or, with a separator, any number of them. In JSONL it may also
            be a number or a boolean, taken as JSON spells it; a list of labels; or an object from labels to values.
        options: The separator, and what numbers mean.

    Returns:
        The labels that the row names, with values from 0 to 1; 1 where it gives none.

    Raises:
        ColumnFormatError: There is no label, or more than one, where one is needed; or it is none of the above.
    """
    label = row.label
    if isinstance(label, dict):
        return {_read_name(name, row, options): _read_value(name, value, row) for name, value in label.items()}
    if isinstance(label, str) and options.label_separator is not None:
        label = [part.strip() for part in label.split(options.label_separator)] if label.strip() else []
    return {_read_name(each, row, options): 1.0 for each in (label if isinstance(label, list) else [label])}


def read_numbers(row: LabelledRow) -> dict[str, float]:
    """Read the numbers of a row; those that it does not have are left out.

    Raises:
        ColumnFormatError: A value is no finite number.
    """
    cells = row.label if isinstance(row.label, dict) else {}
    numbers = {}
    for name, cell in cells.items():
        if cell is None or cell == "":
            continue
        try:
            number = math.nan if isinstance(cell, bool) or "_" in str(cell) else float(cell)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            expected = "Expected a number such as 3.5, or nothing where it is not known."
            raise row.error(f"the number {name!r} is {str(cell)[:40]!r}", expected)
        numbers[name] = number
    return numbers


def read_position(row: LabelledRow, options: TextOptions) -> dict[str, float]:
    """Read which ending is right: 1 for its position, from 0 on, and 0 for the others; nothing where it is not known.

    Raises:
        ColumnFormatError: The label is not the number of an ending.
    """
    label, n_endings = "" if row.label is None else str(row.label), len(row.endings or ())
    if label in ("", "-1"):  # as test sets have it
        return {}
    first = options.first
    expected = f"the number of one of {n_endings} endings, from {first} on; pass --first-label 1 for 1"
    chosen = _read_place(label, n_endings, expected, row, options)
    return {str(position): float(position == chosen) for position in range(n_endings)}


def read_flags(row: LabelledRow) -> dict[str, float]:
    """Read the values of labels that have a column each; what is empty or -1 is not known.

    Raises:
        ColumnFormatError: A value is no number from 0 to 1, and neither true nor false.
    """
    cells = row.label if isinstance(row.label, dict) else {}
    cells = {name: _FLAGS.get(str(cell).lower(), cell) for name, cell in cells.items()}
    numbers = read_numbers(replace(row, label=cells))
    return {name: _read_value(name, value, row) for name, value in numbers.items() if value != -1}


def read_choice(row: LabelledRow, options: TextOptions) -> dict[str, float]:
    """Read what was selected in Prodigy's choice interface: 1 or 0 for every label that was offered.

    Raises:
        ColumnFormatError: A label is none, or one that was not offered was selected.
    """
    selected = read_cats(row, options)
    offered = [_read_name(label, row, options) for label in row.options or ()]
    for label in selected:
        if label not in offered:
            raise row.error(f"the choice {label!r} is not among the options", f"Expected one of {', '.join(offered)}.")
    return {label: selected.get(label, 0.0) for label in offered}


def list_present(cats: Mapping[str, float]) -> list[str]:
    """List the labels that a text has."""
    return [label for label, value in cats.items() if value >= PRESENT]


def _read_name(label: object, row: LabelledRow, options: TextOptions) -> str:
    if not isinstance(label, (str, int, float)) or label != label:
        raise row.error(f"the label is {json.dumps(label)[:40]}", "Expected a string, or a list or an object of them.")
    name = label if isinstance(label, str) else json.dumps(label)
    if not name.strip():
        advice = "; pass --label-separator where texts may have none, or several" * (options.label_separator is None)
        raise row.error("the label is empty", f"Expected a label{advice}.")
    if not options.names:
        return name
    first, n_names = options.first, len(options.names)
    advice = "; pass --label-separator where a text has several" * (options.label_separator is None)
    expected = f"a number from {first} to {first + n_names - 1}, counting label names{advice}"
    return options.names[_read_place(name, n_names, expected, row, options)]


def _read_place(label: str, n_places: int, expected: str, row: LabelledRow, options: TextOptions) -> int:
    """Read the number of a name or of an ending as its place, from 0."""
    value = read_number(label)
    if value is None or not 0 <= value - options.first < n_places:
        raise row.error(f"the label is {label[:40]!r}", f"Expected {expected}.")
    return value - options.first


def _read_value(name: str, value: object, row: LabelledRow) -> float:
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return float(value)
    raise row.error(f"the value of the label {name!r} is {json.dumps(value)[:40]}", "Expected a number from 0 to 1.")


_ANSWERS = ("accept", "reject", "ignore")


@dataclass
class AnswerReader:
    """Reads the labels of the rows of one file as the answers say, and counts the answers.

    A field `answer` that never holds one of Prodigy's three words means something else, and is ignored.

    Attributes:
        options: How labels are written.
        tally: Counts the answers.
    """

    options: TextOptions
    tally: Tally
    _seen: dict[bool, LabelledRow] = field(default_factory=dict)

    def read(self, row: LabelledRow) -> tuple[dict[str, float], bool] | None:
        """Read the labels of a row, and whether those that it does not name are known not to hold.

        Returns:
            Nothing if the row is to be left out.

        Raises:
            ColumnFormatError: The labels cannot be read, or some answers of the file are Prodigy's and others are not.
        """
        found = self._read(row, self._read_answer(row))
        if isinstance(found, str):
            self.tally.left_out[found] += 1
            return None
        return found

    def _read(self, row: LabelledRow, answer: str | None) -> tuple[dict[str, float], bool] | str:
        """Read the same, or why the row is to be left out."""
        options, answers = self.options, self.tally.answers
        if answer == "ignore":
            return "rows answered with ignore"
        if answer == "reject" and (options.number_columns or options.label_columns or options.endings):
            return "rejected rows"  # which of the values is wrong is not said
        if options.number_columns:
            numbers = read_numbers(row)
            return (numbers, False) if numbers else "rows without a number"
        if options.label_columns:
            return read_flags(row), False
        if options.endings:
            return read_position(row, options), False
        cats = read_cats(row, options) if row.options is None else read_choice(row, options)
        if answer == "reject":
            if not (rejected := dict.fromkeys(list_present(cats), 0.0)):
                return "rejected rows without a label"
            answers["rejected (their labels are 0)"] += 1
            return rejected, False
        if answer == "accept":
            answers["accepted"] += 1
        elif row.options is not None:
            answers["choices without an answer, taken as accepted"] += 1
        # A question about one label says nothing about the others, unlike a whole annotation (a list or an object).
        is_question = answer == "accept" and not isinstance(row.label, (list, dict)) and not options.label_separator
        return cats, row.options is None and not is_question

    def _read_answer(self, row: LabelledRow) -> str | None:
        if row.answer is None:
            return None
        answer = row.answer if isinstance(row.answer, str) and row.answer in _ANSWERS else None
        first = self._seen.setdefault(answer is None, row)
        other = self._seen.get(answer is not None)
        if other is not None:
            expected = f"Expected accept, reject or ignore everywhere or nowhere, unlike in line {other.record.line}"
            raise first.error(f"the answer is {str(first.answer)[:40]!r}", f"{expected}; rename the field otherwise.")
        return answer


@dataclass(frozen=True)
class LabelledText:
    """A text, or a pair of texts, with what it is to teach.

    Attributes:
        row: The row, with the exact text.
        cats: The labels that the row names, with values from 0 to 1.
        is_complete: Whether other labels are known not to hold; otherwise nothing is known of them.
    """

    row: LabelledRow
    cats: Mapping[str, float]
    is_complete: bool = True

    @property
    def key(self) -> bytes:
        """What two copies of a text, or of a pair, have in common: all but the whitespace, as a digest."""
        return make_key(*self.row.parts)


def read_labelled_texts(
    formats: Iterable[tuple[Path, str]], options: TextOptions, tally: Tally
) -> Iterator[LabelledText]:
    """Read texts file after file; a row without text, or without an answer to learn from, is left out.

    Args:
        formats: The files with their formats.
        options: How to read them.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: A file does not exist.
        ColumnFormatError: A row cannot be read, or has no label.
    """
    for path, file_format in formats:
        answers = AnswerReader(options, tally)
        for row in read_labelled_rows(path, file_format, options, tally):
            if row.second is None and not row.text.strip():
                tally.left_out["rows without text"] += 1
            elif labels := answers.read(row):
                yield LabelledText(row, *labels)
