"""The input cut into chunks, each of which becomes a shard of the output.

Where a chunk ends depends on the input and the settings alone, so that any engine, and a run that goes on after it was
killed, makes the same shards.

The columns that rows come with, and those that are added.

Lines of a file, of texts or JSON objects, as bytes: what they hold is found out where they are annotated.

CSV and TSV files → chunks. A row that cannot be read takes no other one with it.

Files of `Doc`s, as `DocBin.to_disk` writes them, → chunks.

Parquet files → chunks, with the columns as they are.

Files → chunks, whatever is in them.
"""

from __future__ import annotations

import csv
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any, NamedTuple

import srsly
from spacy.tokens import DocBin

from spacy_bertft.annotate.inputs import InputFormat, Source
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import import_pyarrow, open_input
from spacy_bertft.data.docs import parse_docs, slice_docs
from spacy_bertft.data.lines import decode_line, describe_long_line, split_lines
from spacy_bertft.data.texts.delimited import DELIMITERS, check_row, name_csv_problem
from spacy_bertft.errors import ColumnFormatError, DataError, shorten


class Problem(NamedTuple):
    """A row that cannot be annotated.

    Attributes:
        line: Where it starts, from 1: the line of a text file, the row of a table; None for a file as a whole.
        reason: What is wrong with it, and what to do.
    """

    line: int | None
    reason: str


class RawRow(NamedTuple):
    """A row as it stands in a file.

    Attributes:
        line: Where it starts, from 1.
        content: A line with its end, or the cells of a row.
        n_bytes: Its size.
    """

    line: int
    content: bytes | list[str]
    n_bytes: int


class Empty(NamedTuple):
    """A line with nothing in it, which is no row.

    Attributes:
        line: Its number, from 1.
        content: Its blanks and its end, which within a cell of CSV do mean something.
    """

    line: int
    content: bytes = b""


@dataclass
class Chunk:
    """Rows of one file that become one shard.

    Attributes:
        shard: Name of the shard, without a suffix.
        source: Name of the file, for messages.
        format: What is in the file.
        weight: How many bytes of the file it stands for; all chunks of a file make its size.
        columns: Names of the cells, where rows are cells.
        rows: The rows, where they are lines or cells: where each starts, and what it is.
        table: The rows, where they come from a Parquet file (an Arrow stream) or a `.spacy` file (a smaller one).
        first_row: Number of the first row in `table`, from 1.
        problems: What could not be read.
        n_empty: Empty lines.
    """

    shard: str
    source: str
    format: InputFormat
    weight: int = 0
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, bytes | list[str]]] = field(default_factory=list)
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


class ChunkNames:
    """Names the shards of a file, in order.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0

    def make_next(self) -> str:
        """Name the next one."""
        name = f"part-{self._source.number:05d}-{self._count:06d}"
        self._count += 1
        return name


class Weights:
    """Shares out the bytes of a file among its chunks.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self._n_bytes = source.n_bytes
        self._shared_out = 0

    def share_out(self, n_bytes_read: int) -> int:
        """Return what the next chunk stands for, given how much of the file is read."""
        weight = min(n_bytes_read, self._n_bytes) - self._shared_out
        self._shared_out += weight
        return weight

    def share_out_rest(self) -> int:
        """Return what the last chunk stands for."""
        return self.share_out(self._n_bytes)


def collect_rows(
    rows: Iterable[RawRow | Problem | Empty],
    source: Source,
    settings: AnnotateSettings,
    tell: Callable[[], int],
    columns: list[str],
) -> Iterator[Chunk]:
    """Collect the rows of a file that are read one by one into chunks.

    Args:
        rows: The rows, in order.
        source: The file.
        settings: How large a chunk may be.
        tell: Tells how many bytes of the file are read.
        columns: Names of the cells of a row; filled in by the time that the first row is there.
    """
    names, weights = ChunkNames(source), Weights(source)
    chunk, n_bytes = Chunk(names.make_next(), source.name, source.format, columns=columns), 0
    for row in rows:
        if isinstance(row, Empty):
            chunk.n_empty += 1
        elif isinstance(row, Problem):
            chunk.problems.append(row)
        else:
            chunk.rows.append((row.line, row.content))
            n_bytes += row.n_bytes
        if len(chunk.rows) + len(chunk.problems) >= settings.shard_rows or n_bytes >= settings.shard_bytes:
            chunk.weight = weights.share_out(tell())
            yield chunk
            chunk, n_bytes = Chunk(names.make_next(), source.name, source.format, columns=columns), 0
    if chunk.rows or chunk.problems or chunk.n_empty:
        chunk.weight = weights.share_out_rest()
        yield chunk


def find_column_problem(columns: Collection[str], settings: AnnotateSettings) -> str | None:
    """Return why rows with some columns cannot be annotated, if so.

    Args:
        columns: Names of the columns.
        settings: Which one holds the texts, and which ones are to be added.
    """
    if settings.text_column not in columns:
        found = shorten(", ".join(repr(name[:40]) for name in columns) or "none")
        return (
            f"there is no column {settings.text_column!r} among {found}. Pass --text-column with the name of a column."
        )
    for name in settings.answers.values():
        if name in columns:
            return f"there is a column {name!r} already. Pass --prefix, so that new columns get other names."
    return None


def find_header_problem(columns: Sequence[str], settings: AnnotateSettings) -> str | None:
    """Return why a file with some columns cannot be annotated, if so.

    Args:
        columns: Names of the columns, in order.
        settings: Which one holds the texts, and which ones are to be added.
    """
    if len(set(columns)) < len(columns):
        return "a column is named twice. Expected each name once."
    return find_column_problem(columns, settings)


# What damaged files raise, plain or compressed. pyarrow's own errors of zstd are OSErrors.
READ_ERRORS = (OSError, EOFError, zlib.error)
_BOM = b"\xef\xbb\xbf"


def cut_lines(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a file with a text or a JSON object on each line into chunks."""
    with open_input(source.url, source.compression) as (file, tell):
        yield from collect_rows(read_raw_rows(file, at_returns=True), source, settings, tell, [])


def read_raw_rows(file: IO[bytes], *, at_returns: bool = False) -> Iterator[RawRow | Problem | Empty]:
    """Read a file line by line, never more of a line than `split_lines` allows.

    Args:
        file: The file. A byte order mark at its start is passed over.
        at_returns: Whether a lone carriage return ends a line too.

    Yields:
        Each line with its end. A line that is too long, and the place from where on the file cannot be read, are
            problems.
    """
    number = 0
    try:
        for number, line in enumerate(split_lines(file, at_returns=at_returns), start=1):
            if line is None:
                yield Problem(number, f"{describe_long_line()}. Expected shorter ones.")
                continue
            content = line.removeprefix(_BOM) if number == 1 else line
            yield RawRow(number, content, len(line)) if content.strip() else Empty(number, content)
    except READ_ERRORS as error:
        yield Problem(number + 1, f"the file cannot be read from here on ({error}). Expected a whole file.")


# Lines are read again for rows that make no sense: so many bytes, and some times as many as were read for good. With
# stray quotes it is never more than that; a file made for it could take as long as the square of its size.
_BYTES_AGAIN = 8 * 1024 * 1024
_TIMES_AGAIN = 4


def cut_delimited(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a CSV or TSV file, whose first row names its columns, into chunks."""
    columns: list[str] = []
    delimiter = DELIMITERS["tsv" if source.format == "tsv" else "csv"]
    with open_input(source.url, source.compression) as (file, tell):
        records = _Records(read_raw_rows(file), source, delimiter)
        yield from collect_rows(_take_header(records, columns, settings), source, settings, tell, columns)


def _take_header(
    records: Iterable[RawRow | Problem | Empty], columns: list[str], settings: AnnotateSettings
) -> Iterator[RawRow | Problem | Empty]:
    """Take the names of the columns off the first row; without them, nothing else can be read."""
    for record in records:
        if columns or isinstance(record, Empty):
            yield record
        elif isinstance(record, Problem):
            yield Problem(record.line, f"{record.reason} This row names the columns; the rest of the file is left out.")
            return
        else:
            columns.extend(str(cell).strip() for cell in record.content)
            problem = find_header_problem(columns, settings)
            if problem is not None:
                yield Problem(record.line, f"{problem} The rest of the file is left out.")
                return


class _Records:
    """Rows of cells, which may span lines. Of a row that makes no sense, all lines but the first are read again.

    Otherwise a quote that is never closed would take the rows after it.
    """

    def __init__(self, lines: Iterable[RawRow | Problem | Empty], source: Source, delimiter: str) -> None:
        self._lines = iter(lines)
        self._name = source.name
        self._delimiter = delimiter
        self._waiting: deque[RawRow | Problem | Empty] = deque()  # lines to be read again
        self._taken: list[RawRow | Empty] = []  # lines of this row
        self._n_cells = 0
        self._n_bytes = 0  # read for good
        self._n_bytes_again = 0

    def __iter__(self) -> Iterator[RawRow | Problem | Empty]:
        while (first := self._take()) is not None:
            if not isinstance(first, RawRow):
                yield first
                continue
            self._taken = [first]
            record = self._parse()
            if not isinstance(record, Problem):
                self._n_bytes += sum(map(_count_bytes, self._taken))
                yield record
                continue
            self._n_bytes += _count_bytes(first)
            self._n_bytes_again += sum(map(_count_bytes, self._taken[1:]))
            if self._n_bytes_again > _BYTES_AGAIN + _TIMES_AGAIN * self._n_bytes:
                yield Problem(
                    record.line, f"{record.reason} Too many rows make no sense; the rest of the file is left out."
                )
                return
            yield record
            self._waiting.extendleft(reversed(self._taken[1:]))

    def _parse(self) -> RawRow | Problem | Empty:
        line = self._taken[0].line
        try:
            cells = next(csv.reader(self._feed(), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return Problem(line, f"{name_csv_problem(error)}. Expected pairs of quotes; JSONL takes longer cells.")
        if not cells:
            return Empty(line)
        for row in self._taken:
            try:
                decode_line(_get_bytes(row), self._name, row.line)
            except ColumnFormatError as error:
                return Problem(line, f"{error.problem}. {error.expected}")
        if self._n_cells and len(cells) != self._n_cells:
            plural = "s" if len(cells) > 1 else ""
            return Problem(
                line, f"the row has {len(cells)} cell{plural}. Expected {self._n_cells}, as in the first row."
            )
        self._n_cells = len(cells)
        return RawRow(line, cells, sum(map(_count_bytes, self._taken)))

    def _feed(self) -> Iterator[str]:
        """Give the first line of a row, and as many more as are asked for."""
        n_chars, row = 0, self._taken[0]
        while True:
            n_chars += _count_bytes(row)
            yield _decode(row)
            check_row(n_chars)
            following = self._take()
            if following is None:
                return
            if isinstance(following, Problem):
                self._waiting.appendleft(following)
                return
            row = following
            self._taken.append(row)

    def _take(self) -> RawRow | Problem | Empty | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)


def _decode(row: RawRow | Empty) -> str:
    """Decode a line, whatever it holds: it is checked once its row is whole. At a NUL Python 3.10's csv would stop."""
    return _get_bytes(row).decode("utf-8", "surrogateescape").replace("\0", "\ufffd")


def _count_bytes(row: RawRow | Empty) -> int:
    return len(_get_bytes(row))


def _get_bytes(row: RawRow | Empty) -> bytes:
    assert isinstance(row.content, bytes)
    return row.content


# A token's text, spaces and attributes in such a file, in bytes; it holds no plain text that could be counted.
_TOKEN_BYTES = 8


def cut_docs(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a `.spacy` file into chunks. Such a file is read whole."""
    names, weights = ChunkNames(source), Weights(source)
    with open_input(source.url, source.compression) as (file, _):
        content = file.read()
    try:
        whole = parse_docs(content)
    except DataError as error:
        problems = [Problem(None, str(error))]
        yield Chunk(names.make_next(), source.name, source.format, weight=source.n_bytes, problems=problems)
        return
    del content
    start = 0
    while start < len(whole):
        end = _find_end(whole, start, settings)
        yield Chunk(
            names.make_next(),
            source.name,
            source.format,
            weight=weights.share_out(source.n_bytes * end // len(whole)),
            table=slice_docs(whole, start, end).to_bytes(),
            first_row=start + 1,
        )
        start = end


def _find_end(whole: DocBin, start: int, settings: AnnotateSettings) -> int:
    n_bytes, end = 0, start
    while end < len(whole) and end - start < settings.shard_rows and n_bytes < settings.shard_bytes:
        n_bytes += _TOKEN_BYTES * len(whole.tokens[end])
        end += 1
    return end


def cut_table(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a Parquet file into chunks.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pyarrow = import_pyarrow("Parquet")
    names, weights = ChunkNames(source), Weights(source)
    first_row = 1
    with open_input(source.url, source.compression) as (file, _):
        try:
            table = pyarrow.parquet.ParquetFile(file)
            problem = find_header_problem(table.schema_arrow.names, settings)
            if problem is not None:
                yield _report(names, weights, source, f"{problem} The file is left out.")
                return
            for batch in table.iter_batches(settings.shard_rows):
                for part in _split(batch, settings.shard_bytes):
                    n_read = first_row - 1 + part.num_rows
                    yield Chunk(
                        names.make_next(),
                        source.name,
                        source.format,
                        weight=weights.share_out(source.n_bytes * n_read // table.metadata.num_rows),
                        table=_format(pyarrow, part),
                        first_row=first_row,
                    )
                    first_row += part.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            place = f"cannot be read from row {first_row} on" if first_row > 1 else "is no Parquet file"
            yield _report(names, weights, source, f"the file {place} ({error}). Expected a whole file.")


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


def _report(names: ChunkNames, weights: Weights, source: Source, reason: str) -> Chunk:
    weight = weights.share_out_rest()
    return Chunk(names.make_next(), source.name, source.format, weight=weight, problems=[Problem(None, reason)])


Cut = Callable[[Source, AnnotateSettings], Iterator[Chunk]]

_CUTTERS: dict[InputFormat, Cut] = {
    "text": cut_lines,
    "jsonl": cut_lines,
    "csv": cut_delimited,
    "tsv": cut_delimited,
    "parquet": cut_table,
    "docbin": cut_docs,
}


def cut_source(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a file into chunks. A file that cannot be read is a chunk with that problem, after those that could.

    Raises:
        MissingExtraError: A package is missing for it.
    """
    return _CUTTERS[source.format](source, settings)


def cut_unfinished(sources: Iterable[Source], settings: AnnotateSettings, finished: Collection[str]) -> Iterator[Chunk]:
    """Cut files into chunks, and leave out those whose shards are there.

    Args:
        sources: The files.
        settings: How large a chunk may be.
        finished: Names of shards.

    Raises:
        MissingExtraError: A package is missing for a file.
    """
    return (chunk for source in sources for chunk in cut_source(source, settings) if chunk.shard not in finished)
