"""Content that may be damaged or hostile: whatever a library says about it becomes an error of ours."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import srsly

from .errors import BertftError, CheckpointError

_LONGEST_REASON = 300  # characters


@contextmanager
def name_damage(problem: str, advice: str = "") -> Iterator[None]:
    """Within this context libraries read content, about which they may raise anything.

    Args:
        problem: What it means that they could not, such as `cfg cannot be read`.
        advice: What to do then.

    Raises:
        CheckpointError: They could not. Errors of ours stay what they are.
    """
    collects_garbage = gc.isenabled()
    try:
        yield
    except BertftError:
        raise
    except BaseException as error:
        # A panic of Rust, as in tokenizers, is no Exception, and Python cannot import its type.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{problem}: {read_reason(error)}. {advice}".rstrip()) from error
    finally:
        if collects_garbage:
            gc.enable()  # srsly turns it off to read msgpack, and leaves it so after an error


@contextmanager
def name_source(source: str, advice: str = "") -> Iterator[None]:
    """Within this context everything that is wrong with content, by our own checks too, says where it was.

    Args:
        source: What is read, such as a file.
        advice: What to do where it cannot be read.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with name_damage("It cannot be read", advice):
            yield
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error


def read_reason(error: BaseException) -> str:
    """Return the first line of what another library says, shortened, or the kind of its error where it says nothing."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    reason = reason.encode("utf-8", "backslashreplace").decode("utf-8")
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} …"


def check_file(path: Path) -> None:
    """Raise unless a path is that of a file: to open a pipe or a device may never end.

    Raises:
        CheckpointError: It is not.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is {'no file' if path.exists() else 'missing'}.")


def parse_message(content: Any) -> dict[str, Any]:
    """Read msgpack whose outermost value is a dictionary with names for keys.

    Args:
        content: Bytes, or anything like them.

    Raises:
        ValueError: It is not.
    """
    message = srsly.msgpack_loads(content)
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ValueError(f"expected names and values, found {type(message).__name__}")
    return message
