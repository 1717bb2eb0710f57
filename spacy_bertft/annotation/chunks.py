"""Files cut into chunks, each of which becomes a shard of the output.

Where a chunk ends depends on the input and the settings alone, so that either engine, and a run that was interrupted
and is resumed, makes the same shards. A file that cannot be read is a chunk with that problem, after those that could
be read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import srsly

from spacy_bertft.annotation.inputs import Source
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.annotation.storage import open_input
from spacy_bertft.annotation.values import format_json
from spacy_bertft.data.arrow import is_on_hub, open_table, read_dataset
from spacy_bertft.data.docs import parse_docs, slice_docs
from spacy_bertft.data.files import FileFormat, import_pyarrow
from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import DELIMITERS, Layout, Row, read_rows
from spacy_bertft.errors import ColumnFormatError, DataError

# A token's text, spaces and attributes in a `.spacy` file, in bytes; it holds no plain text that could be counted.
_TOKEN_BYTES = 8


class Problem(NamedTuple):
    """A row that cannot be annotated.

    Attributes:
        line: Where it starts, from 1: the line of a text file, the row of a table; None for a file as a whole.
        reason: What is wrong with it, and what to do.
    """

    line: int | None
    reason: str


@dataclass
class Chunk:
    """Rows of one file that become one shard.

    Attributes:
        source: Name of the file, for messages.
        format: What is in the file.
        shard: Name of the shard, without a suffix.
        weight: How many bytes of the file it represents; the sum over all chunks of a file is its size.
        columns: Names of the cells, where rows are cells.
        rows: The rows, where they are lines or cells: where each starts, and its content.
        table: The rows, where they come from a Parquet file (an Arrow stream) or a `.spacy` file (a smaller one).
        first_row: Number of the first row in `table`, from 1.
        problems: What could not be read.
        n_empty: Empty lines.
    """

    source: str
    format: FileFormat
    shard: str = ""
    weight: int = 0
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, str | list[str]]] = field(default_factory=list)
    table: bytes = b""
    first_row: int = 1
    problems: list[Problem] = field(default_factory=list)
    n_empty: int = 0

    def to_bytes(self) -> bytes:
        """Format the chunk for another machine."""
        content: bytes = srsly.msgpack_dumps(asdict(self))
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Chunk:
        """Parse what `to_bytes` made."""
        values: dict[str, Any] = srsly.msgpack_loads(content)
        rows = [(line, row) for line, row in values.pop("rows")]
        problems = [Problem(*problem) for problem in values.pop("problems")]
        return cls(**values, rows=rows, problems=problems)


def cut_source(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a file into chunks.

    Raises:
        MissingExtraError: A package is missing for it.
    """
    cut = {"parquet": _cut_table, "arrow": _cut_table, "docbin": _cut_docs}.get(source.format, _cut_rows)
    n_bytes_before = 0
    for number, (chunk, n_bytes) in enumerate(cut(source, settings)):
        chunk.shard = f"part-{source.number:05d}-{number:06d}"
        chunk.weight = min(n_bytes, source.n_bytes) - n_bytes_before
        n_bytes_before += chunk.weight
        yield chunk


def cut_unfinished(sources: Iterable[Source], settings: AnnotateSettings, finished: Collection[str]) -> Iterator[Chunk]:
    """Cut files into chunks, and leave out those whose shards are finished.

    Args:
        sources: The files.
        settings: How large a chunk may be.
        finished: Names of shards.

    Raises:
        MissingExtraError: A package is missing for a file.
    """
    return (chunk for source in sources for chunk in cut_source(source, settings) if chunk.shard not in finished)


def check_columns(record: Record, settings: AnnotateSettings) -> None:
    """Check that a row has a column of texts, and none with the name of a column that is to be added.

    Raises:
        ColumnFormatError: It has not, or it has one.
    """
    record.get("text_column", settings.text_column)
    for name in settings.answers.values():
        if name in record.values:
            advice = "Pass --prefix, so that new columns get other names."
            raise record.error(f"there is a column {name!r} already", advice)


def _cut_rows(source: Source, settings: AnnotateSettings) -> Iterator[tuple[Chunk, int]]:
    """Cut lines or rows of cells; next to each chunk, how many bytes of the file are read by then."""
    columns: list[str] = []
    chunk, n_bytes = Chunk(source.name, source.format, columns=columns), 0
    with _open_rows(source, settings) as (rows, tell):
        for row in _take_header(rows, source, settings, columns) if source.format in DELIMITERS else rows:
            if row.error is not None:
                rest = " The rest of the file is left out." * row.ends_file
                reason = f"{row.error.problem}. {row.error.expected}{rest}"
                chunk.problems.append(Problem(row.error.line, reason))
            elif row.is_empty:
                chunk.n_empty += 1
            else:
                chunk.rows.append((row.line, row.content))
                n_bytes += row.n_bytes
            if len(chunk.rows) + len(chunk.problems) >= settings.shard_rows or n_bytes >= settings.shard_bytes:
                yield chunk, source.n_bytes if row.ends_file else tell()
                chunk, n_bytes = Chunk(source.name, source.format, columns=columns), 0
    if chunk.rows or chunk.problems or chunk.n_empty:
        yield chunk, source.n_bytes


@contextmanager
def _open_rows(source: Source, settings: AnnotateSettings) -> Iterator[tuple[Iterable[Row], Callable[[], int]]]:
    """Open rows, next to what tells how far they are read; those of a data set of the hub become JSON objects."""
    if is_on_hub(source.url):  # how large it is, is not known
        lines = map(format_json, read_dataset(Path(source.url)))
        yield (Row(number, line, len(line)) for number, line in enumerate(lines, start=1)), lambda: 0
    else:
        with open_input(source.url, source.compression) as (file, tell):
            yield read_rows(file, source.name, source.format, Layout(quoting=settings.quoting)), tell


def _take_header(rows: Iterable[Row], source: Source, settings: AnnotateSettings, columns: list[str]) -> Iterator[Row]:
    """Take the names of the columns off the first row; without them, nothing else can be read."""
    for row in rows:
        if columns or row.is_empty:
            yield row
            continue
        try:
            columns.extend(_read_columns(row, source, settings))
        except ColumnFormatError as error:
            yield row._replace(error=error, ends_file=True)
            return


def _read_columns(row: Row, source: Source, settings: AnnotateSettings) -> list[str]:
    if row.error is not None:
        raise row.error
    columns = [cell.strip() for cell in row.content]
    if len(set(columns)) < len(columns):
        raise ColumnFormatError(source.name, row.line, "the header names a column twice", "Expected each name once.")
    check_columns(Record(source.name, row.line, dict.fromkeys(columns)), settings)
    return columns


def _cut_docs(source: Source, settings: AnnotateSettings) -> Iterator[tuple[Chunk, int]]:
    """Cut a `.spacy` file. Such a file is read whole."""
    with open_input(source.url, source.compression) as (file, _):
        content = file.read()
    try:
        whole = parse_docs(content)
    except DataError as error:
        yield Chunk(source.name, source.format, problems=[Problem(None, str(error))]), source.n_bytes
        return
    del content
    start, n_bytes = 0, 0
    for end, tokens in enumerate(whole.tokens, start=1):
        n_bytes += _TOKEN_BYTES * len(tokens)
        if end == len(whole) or end - start >= settings.shard_rows or n_bytes >= settings.shard_bytes:
            table = slice_docs(whole, start, end).to_bytes()
            chunk = Chunk(source.name, source.format, table=table, first_row=start + 1)
            yield chunk, source.n_bytes * end // len(whole)
            start, n_bytes = end, 0


def _cut_table(source: Source, settings: AnnotateSettings) -> Iterator[tuple[Chunk, int]]:
    """Cut a Parquet or Arrow file, with its columns as they are. An Arrow file is read whole."""
    pyarrow = import_pyarrow("Parquet")
    n_read, problem = 0, ""
    with open_input(source.url, source.compression) as (file, _):
        try:
            schema, batches, n_rows = open_table(file, source.format, settings.shard_rows)
            _read_columns(Row(1, schema.names), source, settings)
            for batch in batches:
                for part in _split(batch, settings.shard_bytes):
                    chunk = Chunk(source.name, source.format, table=_format(pyarrow, part), first_row=n_read + 1)
                    n_read += part.num_rows
                    yield chunk, source.n_bytes * n_read // n_rows
        except ColumnFormatError as error:
            problem = f"{error.problem}. {error.expected} The file is left out."
        except (pyarrow.ArrowException, OSError) as error:
            place = f"cannot be read from row {n_read + 1} on" if n_read else f"is no {source.format.capitalize()} file"
            problem = f"the file {place} ({error}). Expected a whole file."
    if problem:
        yield Chunk(source.name, source.format, problems=[Problem(None, problem)]), source.n_bytes


def _split(batch: Any, n_bytes: int) -> Iterator[Any]:
    """Split a batch into equal parts of no more than some bytes, as far as rows allow."""
    n_parts = min(batch.num_rows, -(-batch.nbytes // n_bytes)) or 1
    n_rows = -(-batch.num_rows // n_parts)
    return (batch.slice(start, n_rows) for start in range(0, batch.num_rows, n_rows or 1))


def _format(pyarrow: Any, batch: Any) -> bytes:
    stream = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = stream.getvalue().to_pybytes()
    return content
