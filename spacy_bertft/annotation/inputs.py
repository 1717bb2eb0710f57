"""Names of files and directories → the files to read, and their formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spacy_bertft.annotation.storage import find_file_system, make_absolute
from spacy_bertft.data.arrow import is_on_hub
from spacy_bertft.data.files import FORMATS, Compression, FileFormat, find_format
from spacy_bertft.errors import DataError, SettingError

_EXPECTED = f"a name that ends in {', '.join(FORMATS)}; all but the last three may be compressed, as in texts.jsonl.gz"


@dataclass(frozen=True)
class Source:
    """A file of the input.

    Attributes:
        number: Its place in the input, from 0.
        name: How it is called in messages.
        url: Where it is, from anywhere.
        format: What is in it.
        compression: How that is compressed, if it is.
        n_bytes: Its size.
        changed: When it was changed, or its ETag; empty where the place does not tell.
    """

    number: int
    name: str
    url: str
    format: FileFormat
    compression: Compression | None
    n_bytes: int
    changed: str = ""


@dataclass(frozen=True)
class Inputs:
    """The input.

    Attributes:
        sources: Its files, in order.
        left_out: Files in directories whose names do not end in a known format.
    """

    sources: tuple[Source, ...]
    left_out: tuple[str, ...]


def find_inputs(names: Sequence[str]) -> Inputs:
    """Find the files of the input: files as they are given, those of a directory by name.

    Args:
        names: Files and directories: paths, or URLs that fsspec knows; or data sets of the hub.

    Raises:
        DataError: Something is not there, or there is no file at all.
        SettingError: A name says nothing about what is in the file, or a file is given twice.
    """
    sources: dict[str, Source] = {}
    left_out: list[str] = []
    for name in names:
        if is_on_hub(name):
            _add(sources, Source(len(sources), name, name, "jsonl", None, 0))
            continue
        file_system, path = find_file_system(name, "inputs")
        if not file_system.exists(path):
            raise DataError(f"{name}: no such file or directory. Expected texts to annotate.")
        files = _list_files(file_system, path, name) if file_system.isdir(path) else {name: path}
        for file_name, file_path in files.items():
            if source := _find_source(len(sources), file_name, file_system, file_path):
                _add(sources, source)
            elif file_name != name:
                left_out.append(file_name)
            else:
                raise SettingError("inputs", name, _EXPECTED)
    if not sources:
        raise DataError(f"{', '.join(names)}: there is no file to annotate. Expected {_EXPECTED}.")
    return Inputs(tuple(sources.values()), tuple(left_out))


def _add(sources: dict[str, Source], source: Source) -> None:
    if source.url in sources:
        raise SettingError("inputs", source.name, "each file once")
    sources[source.url] = source


def _list_files(file_system: Any, folder: str, name: str) -> dict[str, str]:
    """List the files in a directory by name, without those of other programs, such as `_SUCCESS` or `.part.crc`."""
    inner = {path.removeprefix(folder).lstrip("/"): path for path in sorted(file_system.find(folder))}
    return {
        f"{name.rstrip('/')}/{each}": path
        for each, path in inner.items()
        if not any(part.startswith((".", "_")) for part in each.split("/"))
    }


def _find_source(number: int, name: str, file_system: Any, path: str) -> Source | None:
    """Find what the name of a file says of it, if that is a format that can be read."""
    file_format, compression = find_format(name)
    if file_format is None or (compression and file_format in ("parquet", "arrow", "docbin")):
        return None
    info = file_system.info(path)
    changed = next((str(info[key]) for key in ("mtime", "ETag", "LastModified") if info.get(key)), "")
    return Source(number, name, make_absolute(name), file_format, compression, int(info["size"] or 0), changed)
