"""CSV and TSV files → chunks. A row that cannot be read takes no other one with it."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator

from spacy_bertft.annotate.chunks import Chunk, Empty, Problem, RawRow, collect_rows
from spacy_bertft.annotate.reading.columns import find_header_problem
from spacy_bertft.annotate.reading.inputs import Source
from spacy_bertft.annotate.reading.lines import read_raw_rows
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import open_input
from spacy_bertft.data.lines import decode_line
from spacy_bertft.data.texts.delimited import DELIMITERS, check_row, name_csv_problem
from spacy_bertft.errors import ColumnFormatError

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
