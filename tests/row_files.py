"""Files of rows for the tests: how to write them in every format, and how to read the shards that come of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import DocBin

Rows = Sequence[Mapping[str, object]]
_NUL = "\U0010ffff"  # stands for it while it is written


def format_jsonl(rows: Iterable[object]) -> bytes:
    """Format JSON objects, one a line."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def format_delimited(rows: Rows, delimiter: str = ",", newline: str = "\r\n") -> bytes:
    """Format rows as the csv module does."""
    stream = io.StringIO(newline="")
    # With this line end the csv module leaves a carriage return without quotes, and cannot read it again.
    quoting = csv.QUOTE_ALL if newline == "\n" else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writeheader()
    if sys.version_info >= (3, 11):
        writer.writerows(rows)
        return stream.getvalue().encode()
    # Python 3.10 writes no NUL.
    writer.writerows({name: str(value).replace("\0", _NUL) for name, value in row.items()} for row in rows)
    return stream.getvalue().replace(_NUL, "\0").encode()


def compress(content: bytes, suffix: str) -> bytes:
    """Compress a file as its suffix says."""
    if suffix == ".gz":
        return gzip.compress(content)
    if suffix == ".zst":
        import pyarrow

        return bytes(pyarrow.Codec("zstd").compress(content, asbytes=True))
    return content


def write_rows(path: Path, rows: Rows) -> Path:
    """Write rows in the format that a name says."""
    if ".parquet" in path.suffixes:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    elif ".spacy" in path.suffixes:
        nlp = spacy.blank("en")
        DocBin(docs=[nlp.make_doc(str(row["text"])) for row in rows]).to_disk(path)
    else:
        kinds = {".csv": format_delimited, ".tsv": lambda rows: format_delimited(rows, "\t"), ".jsonl": format_jsonl}
        kinds[".txt"] = lambda rows: "".join(f"{row['text']}\n" for row in rows).encode()
        kind = next(suffix for suffix in path.suffixes if suffix in kinds)
        path.write_bytes(compress(kinds[kind](rows), path.suffix))
    return path


def read_shards(output: Path) -> list[dict[str, Any]]:
    """Read the rows of all shards of JSONL, in order."""
    return [row for path in sorted(output.glob("part-*.jsonl")) for row in read_objects(path)]


def read_errors(output: Path) -> list[dict[str, Any]]:
    """Read what could not be annotated."""
    return read_objects(output / "errors.jsonl")


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Read the JSON objects of a file."""
    return [json.loads(line) for line in path.read_bytes().decode().split("\n") if line]
