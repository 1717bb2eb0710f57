"""Lines of a text file, with their numbers and without surprises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spacy_bertft.errors import ColumnFormatError, DataError

# A longer line is none of text: the file is binary, or lacks its line ends. Reading it would take memory without end.
MAX_LINE_BYTES = 64 * 1024 * 1024
_BOM = "\ufeff"


@dataclass(kw_only=True)
class FileTally:
    """What a reader of files has seen so far; a report is made of it.

    Attributes:
        n_lines: All lines.
        n_byte_order_marks: Byte order marks inside files, where files were joined. They are removed.
    """

    n_lines: int = 0
    n_byte_order_marks: int = 0


def read_lines(path: Path, tally: FileTally | None = None) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file line by line.

    A line ends at `\n`, `\r\n` or `\r` and nowhere else: the other characters that `str.splitlines` takes for line
    ends (U+0085, U+2028 and five more) do occur inside the words of real corpora.

    Args:
        path: The file. A byte order mark at the start of a line is removed: files are joined with their marks.
        tally: Counts lines and byte order marks on the way.

    Yields:
        The number of each line, from 1, and the line without its end.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not UTF-8, holds a NUL, or is longer than `MAX_LINE_BYTES`.
    """
    tally = FileTally() if tally is None else tally
    for number, raw in enumerate(read_raw_lines(path), start=1):
        line = raw.rstrip("\r\n")
        tally.n_lines += 1
        # Before a separator the mark is a word of its own.
        if line.startswith(_BOM) and line.lstrip(_BOM)[:1] not in (" ", "\t"):
            line = remove_byte_order_marks(line, tally)
        yield number, line


def remove_byte_order_marks(line: str, tally: FileTally) -> str:
    """Remove the byte order marks at the start of a line, and count them."""
    text = line.lstrip(_BOM)
    tally.n_byte_order_marks += len(line) - len(text)
    return text


def read_raw_lines(path: Path) -> Iterator[str]:
    """Read a UTF-8 file line by line as `read_lines` does, each line with its end.

    Args:
        path: The file. A byte order mark at its start is passed over.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not UTF-8, holds a NUL, or is longer than `MAX_LINE_BYTES`.
    """
    check_is_file(path)
    # Binary files split at `\n` only, and a bad byte is met at its own line.
    with path.open("rb") as file:
        for number, raw in enumerate(split_lines(file, at_returns=True), start=1):
            if raw is None:
                raise ColumnFormatError(path, number, describe_long_line(), "Expected text; is this a binary file?")
            line = decode_line(raw, path, number)
            yield line.removeprefix(_BOM) if number == 1 else line


def split_lines(file: IO[bytes], *, at_returns: bool = False) -> Iterator[bytes | None]:
    r"""Split a file at `\n`, and keep no more than `MAX_LINE_BYTES` of it in memory.

    Args:
        file: The file.
        at_returns: Whether a `\r` that no `\n` follows ends a line too.

    Yields:
        Each line with its end, or None for a line that is too long; the rest of it is passed over.
    """
    while line := file.readline(MAX_LINE_BYTES):
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
            if at_returns and b"\r" in line:
                yield from _split_at_returns(line)
            else:
                yield line
            continue
        del line
        yield None
        while (part := file.readline(1 << 20)) and not part.endswith(b"\n"):
            pass


def _split_at_returns(line: bytes) -> Iterator[bytes]:
    r"""Split at each `\r`, but not in `\r\n` or in the `\r\r\n` of a file that was converted twice."""
    text = line.rstrip(b"\r\n") if line.endswith(b"\n") else line
    *parts, last = text.split(b"\r")
    for part in parts:
        yield part + b"\r"
    if end := last + line[len(text) :]:
        yield end


def describe_long_line() -> str:
    """Say what is wrong with a line for which `split_lines` gives None."""
    return f"the line is longer than {MAX_LINE_BYTES:,} bytes"


def check_is_file(path: Path) -> None:
    """Check that there is a file to read.

    Raises:
        DataError: There is none.
    """
    if not path.is_file():
        problem = "this is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {problem}. Expected the path of a file.")


def decode_line(raw: bytes, path: Path | str, number: int) -> str:
    """Decode a line.

    Args:
        raw: The line.
        path: The file, for the error.
        number: Number of the line, from 1, for the error.

    Raises:
        ColumnFormatError: It is not UTF-8, or holds a NUL.
    """
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"byte {raw[error.start]:#04x} at position {error.start + 1} of the line is not UTF-8"
        raise ColumnFormatError(path, number, problem, "Expected UTF-8; convert the file first.") from error
    if "\0" in line:
        raise ColumnFormatError(path, number, "the line holds a NUL", "Expected text; is this a binary file?")
    return line
