"""The input cut into chunks, each of which becomes a shard of the output.

Where a chunk ends depends on the input and the settings alone, so that any engine, and a run that goes on after it was
killed, makes the same shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import srsly

from spacy_bertft.annotate.reading.inputs import InputFormat, Source
from spacy_bertft.annotate.settings import AnnotateSettings


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
