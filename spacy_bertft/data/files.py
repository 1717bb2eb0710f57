"""Files to read: what the name of one says about its content, and its bytes, decompressed and recoded."""

from __future__ import annotations

import gzip
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from spacy_bertft.errors import DataError, MissingExtraError, SettingError

FileFormat = Literal["jsonl", "json", "xlsx", "csv", "tsv", "text", "parquet", "arrow", "docbin"]
Compression = Literal["gzip", "zstd"]

FORMATS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".spacy": "docbin",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
_READ_AHEAD = 1 << 12  # bytes; where a file is damaged, so much before the damage is lost


@dataclass(kw_only=True)
class Options:
    """How files of any format are read.

    Args:
        file_format: The format of the files; by default found in the content of the first one.
        encoding: How the files are encoded, such as cp1252; by default UTF-8, or UTF-16 with its mark.
    """

    file_format: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Check the settings, after those of the other classes that a conversion is made of."""


def list_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """List one path or several."""
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]


def find_format(name: Path | str) -> tuple[FileFormat | None, Compression | None]:
    """Return what the name of a file says: its format, and how it is compressed; None for what it does not say.

    Example:
        >>> find_format("texts.JSONL.gz"), find_format("texts")
        (('jsonl', 'gzip'), (None, None))
    """
    path = Path(str(name).lower())
    compression = _COMPRESSIONS.get(path.suffix)
    return FORMATS.get((path.with_suffix("") if compression else path).suffix), compression


def find_files(path: Path, suffix: str) -> list[Path]:
    """Find a file with a suffix, or all such files in a directory, by name; what is hidden in it is left out."""
    found = [each for each in (path.rglob("*") if path.is_dir() else [path]) if each.suffix.lower() == suffix]
    return sorted(each for each in found if not any(part.startswith(".") for part in each.relative_to(path).parts))


def check_is_file(path: Path) -> None:
    """Check that there is a file to read.

    Raises:
        DataError: There is none.
    """
    if not path.is_file():
        problem = "this is a directory" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {problem}. Expected the path of a file.")


@contextmanager
def open_path(path: Path, encoding: str | None = None) -> Iterator[IO[bytes]]:
    """Open a local file, decompressed if its name ends in `.gz` or `.zst`.

    Args:
        path: The file.
        encoding: How it is encoded, if it is to be read as UTF-8; by default UTF-16 if it begins with the mark of it.

    Raises:
        DataError: There is no such file.
        MissingExtraError: It is compressed by zstd, and pyarrow is not installed.
        SettingError: Python does not know the encoding.
    """
    check_is_file(path)
    with path.open("rb") as stored:
        is_utf16 = stored.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
        stored.seek(0)
        with decompress(stored, find_format(path)[1]) as file:
            yield _recode(file, encoding or "utf-16") if encoding or is_utf16 else file


def _recode(file: IO[bytes], encoding: str) -> IO[bytes]:
    try:
        return cast(IO[bytes], io.BufferedReader(_Recoded(io.TextIOWrapper(file, encoding, newline=""))))
    except LookupError as error:
        raise SettingError("encoding", encoding, f"one that Python knows, such as cp1252 ({error})") from error


class _Recoded(io.RawIOBase):
    """A file of text as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._left = text, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or self._text.read(_READ_AHEAD).encode("utf-8")
        n_bytes = min(len(buffer), len(self._left))
        buffer[:n_bytes], self._left = self._left[:n_bytes], self._left[n_bytes:]
        return n_bytes


@contextmanager
def decompress(stored: IO[bytes], compression: Compression | None) -> Iterator[IO[bytes]]:
    """Decompress an open file.

    Raises:
        MissingExtraError: It is compressed by zstd, and pyarrow is not installed.
    """
    if compression == "gzip":
        # GzipFile buffers by itself; another buffer around it would lose what is good before a damaged part.
        with gzip.open(stored, "rb") as file:
            yield cast(IO[bytes], file)
    elif compression == "zstd":
        yield io.BufferedReader(import_pyarrow("zstd").CompressedInputStream(stored, "zstd"), _READ_AHEAD)
    else:
        yield stored


def import_pyarrow(purpose: str) -> Any:
    """Import pyarrow.

    Args:
        purpose: What needs it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(purpose, "arrow") from error
    return pyarrow
