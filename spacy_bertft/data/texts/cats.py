"""What stands in the place of a label → `doc.cats`."""

from __future__ import annotations

import json
from collections.abc import Iterable

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import Row

# From this value on a text counts as having a label.
PRESENT = 0.5


def read_cats(row: Row, options: TextOptions) -> dict[str, float]:
    """Read the labels of a row, with their values.

    Args:
        row: Its label is a string, which is one label or, with a separator, any number of them. In JSONL it may also
            be a number or a boolean, taken as JSON spells it; a list of labels; or an object from labels to values.
        options: The separator, and what numbers stand for.

    Returns:
        The labels that the row names, with values from 0 to 1; 1 where it gives none.

    Raises:
        ColumnFormatError: There is no label, or more than one, where one is needed; or it is none of the above.
    """
    label = row.label
    if isinstance(label, dict):
        return {_read_name(name, row, options): _read_value(name, value, row) for name, value in label.items()}
    if isinstance(label, list):
        return _read_names(label, row, options)
    if isinstance(label, str) and options.label_separator is not None:
        parts = [part.strip() for part in label.split(options.label_separator)]
        return _read_names(parts if label.strip() else [], row, options)
    return _read_names([label], row, options)


def read_choice(row: Row, options: TextOptions) -> dict[str, float]:
    """Read what was selected in Prodigy's choice interface: 1 or 0 for every label that was offered.

    Raises:
        ColumnFormatError: A label is none, or one that was not offered was selected.
    """
    selected = read_cats(row, options)
    offered = _read_names(row.options or (), row, options)
    for label in selected:
        if label not in offered:
            raise row.error(f"the choice {label!r} is not among the options", f"Expected one of {', '.join(offered)}.")
    return {label: selected.get(label, 0.0) for label in offered}


def list_present(cats: dict[str, float]) -> list[str]:
    """List the labels that a text has."""
    return [label for label, value in cats.items() if value >= PRESENT]


def _read_names(labels: Iterable[object], row: Row, options: TextOptions) -> dict[str, float]:
    return {_read_name(label, row, options): 1.0 for label in labels}


def _read_name(label: object, row: Row, options: TextOptions) -> str:
    if not isinstance(label, (str, int, float)):
        raise row.error(f"the label is {json.dumps(label)[:40]}", "Expected a string, or a list or an object of them.")
    name = label if isinstance(label, str) else json.dumps(label)
    if not name.strip():
        advice = "; pass --label-separator where texts may have none, or several" * (options.label_separator is None)
        raise row.error("the label is empty", f"Expected a label{advice}.")
    return _look_up(name, row, options) if options.label_names else name


def _look_up(number: str, row: Row, options: TextOptions) -> str:
    n_names, first, value = len(options.label_names), options.first_label or 0, read_number(number)
    if value is not None and first <= value < first + n_names:
        return options.label_names[value - first]
    advice = "; pass --label-separator where a text has several" * (options.label_separator is None)
    raise row.error(
        f"the label is {number!r}",
        f"Expected a number from {first} to {first + n_names - 1}, counting label names{advice}.",
    )


def _read_value(name: str, value: object, row: Row) -> float:
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return float(value)
    raise row.error(f"the value of the label {name!r} is {json.dumps(value)[:40]}", "Expected a number from 0 to 1.")
