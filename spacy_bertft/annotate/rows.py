"""Chunks → rows with a text, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bertft.annotate.chunks import Chunk, Problem, find_column_problem
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import import_pyarrow
from spacy_bertft.data.docs import parse_docs, unpack_docs
from spacy_bertft.data.lines import decode_line
from spacy_bertft.data.texts.jsonl import Fields
from spacy_bertft.errors import ColumnFormatError, DataError


@dataclass(frozen=True)
class Row:
    """A row with a text.

    Attributes:
        line: Where it starts in its file, from 1.
        text: The text, or the document that it is already.
        columns: All that the row holds, the text among it, by name.
    """

    line: int
    text: str | Doc
    columns: Mapping[str, object] = field(default_factory=dict)


def parse_rows(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab, max_chars: int) -> Iterator[Row | Problem]:
    """Parse the rows of a chunk, in order; after them come the problems that were found when the file was read.

    Args:
        chunk: The chunk.
        settings: Which column holds the texts.
        vocab: Of the pipeline.
        max_chars: Longer texts are problems.
    """
    # A file that cannot be read at all has no rows.
    rows = _PARSERS[chunk.format](chunk, settings, vocab) if chunk.rows or chunk.table else ()
    for row in rows:
        yield row if isinstance(row, Problem) else _check_length(row, max_chars)
    yield from chunk.problems


def _check_length(row: Row, max_chars: int) -> Row | Problem:
    n_chars = len(row.text) if isinstance(row.text, str) else len(row.text.text)
    if n_chars <= max_chars:
        return row
    return Problem(row.line, f"the text has {n_chars:,} characters. Expected {max_chars:,} at most; see --max-chars.")


def _parse_texts(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[Row | Problem]:
    for number, content in chunk.rows:
        line = _decode(content, chunk, number)
        yield line if isinstance(line, Problem) else Row(number, line, {settings.text_column: line})


def _parse_objects(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[Row | Problem]:
    for number, content in chunk.rows:
        line = _decode(content, chunk, number)
        if isinstance(line, Problem):
            yield line
            continue
        try:
            values = Fields(Path(chunk.source), number, line).values
        except ColumnFormatError as error:
            yield Problem(number, f"{error.problem}. {error.expected}")
            continue
        yield _make_row(number, values, settings)


def _parse_cells(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[Row | Problem]:
    for number, cells in chunk.rows:
        yield _make_row(number, dict(zip(chunk.columns, map(str, cells), strict=True)), settings)


def _parse_table(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[Row | Problem]:
    table = import_pyarrow("Parquet").ipc.open_stream(chunk.table).read_all()
    columns = [_list_values(column) for column in table.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=chunk.first_row):
        yield _make_row(number, dict(zip(table.column_names, values, strict=True)), settings)


def _list_values(column: Any) -> list[Any]:
    """List the values of a Parquet column."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_read_value(scalar) for scalar in column]
    return values


def _read_value(scalar: Any) -> Any:
    """Read a value of a Parquet column; those that Python has no type for, such as nanoseconds, as they are spelled."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, Sequence):  # a list, or a map, which is one of keys and values
            elements: Any = scalar
            return [_read_value(each) for each in elements.values]
        if isinstance(scalar, Mapping):
            return {name: _read_value(scalar[name]) for name in scalar}
        return str(scalar.cast("string"))


def _parse_docs(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[Row | Problem]:
    for number, doc in enumerate(unpack_docs(parse_docs(chunk.table), vocab), start=chunk.first_row):
        if isinstance(doc, DataError):
            yield Problem(number, str(doc))
        else:
            yield Row(number, doc, {settings.text_column: doc.text})


_PARSERS: dict[str, Callable[[Chunk, AnnotateSettings, Vocab], Iterator[Row | Problem]]] = {
    "text": _parse_texts,
    "jsonl": _parse_objects,
    "csv": _parse_cells,
    "tsv": _parse_cells,
    "parquet": _parse_table,
    "docbin": _parse_docs,
}


def _decode(content: bytes | list[str], chunk: Chunk, number: int) -> str | Problem:
    assert isinstance(content, bytes)
    try:
        return decode_line(content, chunk.source, number).rstrip("\r\n")
    except ColumnFormatError as error:
        return Problem(number, f"{error.problem}. {error.expected}")


def _make_row(number: int, values: Mapping[str, object], settings: AnnotateSettings) -> Row | Problem:
    problem = find_column_problem(values, settings)
    if problem is not None:
        return Problem(number, problem)
    text = values[settings.text_column]
    if not isinstance(text, str):
        return Problem(number, f"{settings.text_column!r} holds {str(text)[:40]}. Expected a string.")
    return Row(number, text, values)
