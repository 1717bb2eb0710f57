"""Choices among a few words, and numbers, as they come from a command line, a config or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from spacy_bertft.errors import SettingError

Choice = TypeVar("Choice", bound=str)

_MOST_DIGITS = 18  # Python itself refuses to read thousands


def parse_choice(name: str, value: str, choices: Sequence[Choice]) -> Choice:
    """Take a value for the choice that it names.

    Raises:
        SettingError: It names none.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise SettingError(name, value, f"one of {', '.join(choices)}")


def read_number(text: str) -> int | None:
    """Read decimal digits; nothing where there are others, or more than the number of any column or label has."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
