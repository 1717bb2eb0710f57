"""Files on a disk or anywhere else that fsspec reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import fsspec
from fsspec.implementations.dirfs import DirFileSystem

from spacy_bertft.data.files import Compression, decompress
from spacy_bertft.errors import SettingError


def find_file_system(name: str, setting: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it.

    Args:
        name: A path, or a URL that fsspec knows.
        setting: Where it was given, for the error.

    Raises:
        SettingError: fsspec does not know the protocol, or lacks the package for it.
    """
    try:
        file_system, path = fsspec.core.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise SettingError(setting, name, f"a path, or a URL that fsspec can open ({error})") from error
    return file_system, path


def make_absolute(name: str) -> str:
    """Return a path as an absolute path; a URL stays as it is."""
    return name if "://" in name else str(Path(name).resolve())


def is_in_memory(name: str) -> bool:
    """Return whether a URL means the memory of this process, which no other one sees."""
    return name.startswith("memory://")


@contextmanager
def open_input(url: str, compression: Compression | None = None) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """Open a file of the input, decompressed.

    Args:
        url: A path, or a URL that fsspec knows.
        compression: How the file is compressed, if it is.

    Yields:
        The file, and a function that returns how many bytes of it are read so far, as they are stored.

    Raises:
        MissingExtraError: It is compressed by zstd, and pyarrow is not installed.
    """
    file_system, path = find_file_system(url, "inputs")
    with file_system.open(path, "rb") as stored, decompress(stored, compression) as file:
        yield file, stored.tell


class OutputDir:
    """A directory to write to.

    Args:
        url: A path, or a URL that fsspec knows.

    Attributes:
        url: The same, from anywhere.
        files: Its file system, where names are relative to the directory.

    Raises:
        SettingError: fsspec cannot open it.
    """

    TEMPORARY = "_unfinished"  # a directory in it, which is removed at the end

    def __init__(self, url: str) -> None:
        self.url = make_absolute(url)
        file_system, path = find_file_system(self.url, "output")
        self.files = DirFileSystem(path.rstrip("/"), file_system)

    def list_names(self, folder: str = "") -> list[str]:
        """List the names of what is in a directory of it; none if it does not exist."""
        if not self.files.isdir(folder):
            return []
        self.files.invalidate_cache(folder)
        return sorted(each.rstrip("/").rpartition("/")[2] for each in self.files.ls(folder, detail=False))

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Read many small files, at the same time where the file system can."""
        contents = self.files.cat(list(names)) if names else {}
        if isinstance(contents, bytes):  # of one file
            return [contents]
        return [contents[key] for key in sorted(contents)]

    @contextmanager
    def replace_when_done(self, name: str) -> Iterator[IO[bytes]]:
        """Yield a file to write to, which gets its name only once all is written.

        Args:
            name: Of the file in the directory.
        """
        temporary = f"{self.TEMPORARY}/.{Path(name).name}.{uuid4().hex}"
        self.files.makedirs(self.TEMPORARY, exist_ok=True)
        with self.files.open(temporary, "wb") as file:
            yield file
        self.files.mv(temporary, name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file that is either complete or absent."""
        with self.replace_when_done(name) as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        if self.files.exists(name):
            self.files.rm_file(name)

    def remove_temporary(self) -> None:
        """Remove the temporary files."""
        if self.files.exists(self.TEMPORARY):
            self.files.rm(self.TEMPORARY, recursive=True)
