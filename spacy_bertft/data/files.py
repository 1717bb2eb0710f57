"""Files to read: what the name of one says about its content, and its bytes, decompressed."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, cast

from spacy_bertft.errors import DataError, MissingExtraError

FileFormat = Literal["jsonl", "csv", "tsv", "text", "parquet", "docbin"]
Compression = Literal["gzip", "zstd"]

FORMATS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".parquet": "parquet",
    ".spacy": "docbin",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
_READ_AHEAD = 1 << 12  # bytes; where a file is damaged, so much before the damage is lost


def find_format(name: Path | str) -> tuple[FileFormat | None, Compression | None]:
    """Return what the name of a file says: its format, and how it is compressed; None for what it does not say.

    Example:
        >>> find_format("texts.JSONL.gz"), find_format("texts")
        (('jsonl', 'gzip'), (None, None))
    """
    path = Path(str(name).lower())
    compression = _COMPRESSIONS.get(path.suffix)
    return FORMATS.get((path.with_suffix("") if compression else path).suffix), compression


def check_is_file(path: Path) -> None:
    """Check that there is a file to read.

    Raises:
        DataError: There is none.
    """
    if not path.is_file():
        problem = "this is a directory" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {problem}. Expected the path of a file.")


@contextmanager
def open_path(path: Path) -> Iterator[IO[bytes]]:
    """Open a local file, decompressed if its name ends in `.gz` or `.zst`.

    Raises:
        DataError: There is no such file.
        MissingExtraError: It is compressed by zstd, and pyarrow is not installed.
    """
    check_is_file(path)
    with path.open("rb") as stored, decompress(stored, find_format(path)[1]) as file:
        yield file


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
