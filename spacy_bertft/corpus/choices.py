"""A choice among a few words, as it comes from a command line or a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..errors import SettingError

Choice = TypeVar("Choice", bound=str)


def parse_choice(name: str, value: str, choices: Sequence[Choice]) -> Choice:
    """Take a value for the choice that it names.

    Raises:
        SettingError: It names none.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise SettingError(name, value, f"one of {', '.join(choices)}")
