"""Parquet and Arrow files, and data sets of the Hugging Face hub → rows, with the names of their classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spacy_bertft.data.files import FileFormat, check_is_file, find_files, find_format, import_pyarrow
from spacy_bertft.errors import BertftError, DataError, MissingExtraError, read_reason

_BATCH_ROWS = 1_000


_OF_HUB = re.compile(r"hf:/{1,2}(?!datasets/)[^/]+(/[^/]+)?")


def is_on_hub(name: str) -> bool:
    """Return whether this is the name of a data set of the hub, and not of a file there."""
    return _OF_HUB.fullmatch(name) is not None


def is_dataset(path: Path) -> bool:
    """Return whether this is the name of a data set of the hub, a Parquet or Arrow file, or a directory of these."""
    return str(path).startswith("hf:") or bool(_find_tables(path))


def read_dataset(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read the rows of a data set, as a stream.

    Args:
        path: A Parquet or Arrow file; a directory of those of one split, such as `save_to_disk` of Hugging Face's
            datasets writes; or `hf://NAME`, `hf://NAME:CONFIG` or `hf://NAME:CONFIG:SPLIT` on their hub, the split
            being train by default.

    Yields:
        The values of a row by column. Where the features of the data set name classes, they are names; None for -1.

    Raises:
        DataError: There is no such data set, it has several splits, or it cannot be read.
        MissingExtraError: A package for it is not installed.
    """
    try:
        hub_name = re.sub("^hf:/*", "", str(path))
        is_stored = hub_name == str(path)
        for features, rows in map(_open_table, _find_tables(path)) if is_stored else [_stream(*hub_name.split(":"))]:
            yield from (_name_classes(row, {"feature": features}) for row in rows)
    except BertftError:
        raise
    except Exception as error:  # of pyarrow, of the hub, of the network
        raise DataError(f"{path} cannot be read: {read_reason(error)}. Expected a data set.") from error


def _stream(name: str, config: str = "", split: str = "train") -> tuple[Any, Iterator[dict[str, Any]]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("A data set of the hub", "datasets") from error
    dataset = load_dataset(name, config or None, split=split, streaming=True)
    return (dataset.features.to_dict() if dataset.features else {}), iter(dataset)


def _find_tables(path: Path) -> list[Path]:
    """Find the files of a directory that holds one split, or one of these files."""
    if find_format(path)[0] in ("parquet", "arrow"):
        return [path]
    files = [*find_files(path, ".parquet"), *find_files(path, ".arrow")] if path.is_dir() else []
    files = [file for file in files if not file.name.startswith("cache-")]
    splits = {f"{file.parent}/{re.split('-[0-9]', file.stem)[0]}" for file in files}
    if len(splits) > 1:
        raise DataError(f"{path}: there are several splits, {', '.join(sorted(splits))}. Pass one of them.")
    return files


def _open_table(path: Path) -> tuple[Any, Iterator[dict[str, Any]]]:
    check_is_file(path)
    file = import_pyarrow("Parquet").memory_map(str(path))
    schema, batches, _ = open_table(file, find_format(path)[0] or "parquet", _BATCH_ROWS)
    info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return info.get("info", {}).get("features", {}), (row for batch in batches for row in list_rows(batch))


def open_table(file: Any, file_format: FileFormat, batch_rows: int) -> tuple[Any, Iterable[Any], int]:
    """Open a Parquet file, or an Arrow file, which is read whole.

    Args:
        file: The open file.
        file_format: Which of these it is.
        batch_rows: How many rows a batch may have.

    Returns:
        Its schema, its batches, and how many rows it has.
    """
    pyarrow = import_pyarrow("Parquet")
    if file_format == "parquet":
        stored = pyarrow.parquet.ParquetFile(file)
        return stored.schema_arrow, stored.iter_batches(batch_rows), stored.metadata.num_rows
    table = pyarrow.ipc.open_stream(file).read_all()
    return table.schema, table.to_batches(batch_rows), table.num_rows


def list_rows(table: Any) -> Iterator[dict[str, Any]]:
    """List the rows of a table or a batch; values that Python has no type for are strings."""
    columns = [[_read_value(scalar) for scalar in column] for column in table.columns]
    return (dict(zip(table.schema.names, values, strict=True)) for values in zip(*columns, strict=True))


def _read_value(scalar: Any) -> Any:
    """Read a value of a Parquet column; values that Python has no type for, such as nanoseconds, as a string."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, Sequence):  # a list, or a map, which is a list of keys and values
            elements: Any = scalar
            return [_read_value(each) for each in elements.values]
        if isinstance(scalar, Mapping):
            return {name: _read_value(scalar[name]) for name in scalar}
        return str(scalar.cast("string"))


def _name_classes(value: Any, feature: Any) -> Any:
    """Replace numbers of classes, as deep as features describe values."""
    inner = feature.get("feature", feature) if isinstance(feature, dict) else feature[0] if feature else {}
    if isinstance(value, list) and value and isinstance(value[0], tuple):  # a map
        return dict(value)
    if isinstance(value, dict):
        return {name: _name_classes(each, inner.get(name, {})) for name, each in value.items()}
    if isinstance(value, list):
        return [_name_classes(each, inner) for each in value]
    names = feature.get("names") if isinstance(feature, dict) else None
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value
