"""What holds for every target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spacy_bertft.errors import BertftError

LONGEST_ERROR = 1000  # characters


class BrokenLawError(AssertionError):
    """Something that should always hold does not."""


def check(holds: bool, law: str) -> None:
    """Check a law, also where Python runs without assertions.

    Raises:
        BrokenLawError: It does not hold.
    """
    if not holds:
        raise BrokenLawError(law)


@contextmanager
def expect_clear_errors() -> Iterator[None]:
    """Pass over errors of the package, as long as each is one line of a readable length."""
    try:
        yield
    except BertftError as error:
        message = str(error)
        check("\n" not in message, f"an error is one line: {message!r}")
        check(len(message) <= LONGEST_ERROR, f"an error has at most {LONGEST_ERROR} characters: {message[:2000]!r}")
        message.encode("utf-8")
