"""What the columns of JSON objects hold, where a schema is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spacy_bertft.annotate.settings import Kind

EXTRA = "extra"  # the column for all that has no column of its own
_INT64 = 1 << 63


def find_kinds(rows: Iterable[Mapping[str, object]], text_column: str) -> dict[str, Kind]:
    """Find what columns hold.

    Args:
        rows: The first rows.
        text_column: The column of the texts.

    Returns:
        The kind of every column that holds values of one kind, in the order in which they are met. A column of whole
        numbers and fractions holds fractions.
    """
    found: dict[str, set[Kind | None]] = {text_column: {"string"}}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                found.setdefault(name, set()).add(_find_kind(value))
    found.pop(EXTRA, None)
    kinds: dict[str, Kind] = {}
    for name, several in found.items():
        kind = several.pop() if len(several) == 1 else "double" if several == {"int64", "double"} else None
        if kind is not None:
            kinds[name] = kind
    return kinds


def fits(value: object, kind: str) -> bool:
    """Return whether a column of a kind can hold a value, and give it back as it was; null it always can."""
    if kind == "double" and isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= 1 << 53
    return value is None or _find_kind(value) == kind


def _find_kind(value: object) -> Kind | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -_INT64 <= value < _INT64 else None
    if isinstance(value, float):
        return "double"
    return "string" if isinstance(value, str) else None
