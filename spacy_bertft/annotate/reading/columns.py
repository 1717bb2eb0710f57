"""The columns that rows come with, and those that are added."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.errors import shorten


def find_column_problem(columns: Collection[str], settings: AnnotateSettings) -> str | None:
    """Return why rows with some columns cannot be annotated, if so.

    Args:
        columns: Names of the columns.
        settings: Which one holds the texts, and which ones are to be added.
    """
    if settings.text_column not in columns:
        found = shorten(", ".join(repr(name[:40]) for name in columns) or "none")
        return (
            f"there is no column {settings.text_column!r} among {found}. Pass --text-column with the name of a column."
        )
    for name in settings.answers.values():
        if name in columns:
            return f"there is a column {name!r} already. Pass --prefix, so that new columns get other names."
    return None


def find_header_problem(columns: Sequence[str], settings: AnnotateSettings) -> str | None:
    """Return why a file with some columns cannot be annotated, if so.

    Args:
        columns: Names of the columns, in order.
        settings: Which one holds the texts, and which ones are to be added.
    """
    if len(set(columns)) < len(columns):
        return "a column is named twice. Expected each name once."
    return find_column_problem(columns, settings)
