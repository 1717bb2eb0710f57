"""Rows of text files: lines, CSV and TSV, JSON objects, each with the number of its line.

One reader for all that reads texts. Files are UTF-8, plain or compressed. A row that cannot be read carries its error,
and the rows after it are read: whether an error is raised or collected is up to the caller. At most one row is in
memory.
"""

from __future__ import annotations

import csv
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from spacy_bertft.data.files import FileFormat, Options, find_format, open_path
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError, format_count, read_reason

# A longer line is not text: the file is binary, or lacks its line ends. Reading it would take memory without end.
MAX_LINE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 1 << 20  # read at once where every line is plain
# A row of more characters does not continue on another line: its cells may end at any time, but it never does.
MAX_ROW_CHARS = 16 * 1024 * 1024

DELIMITERS: dict[FileFormat, str] = {"csv": ",", "tsv": "\t"}
_DELIMITERS = ",;\t|"  # what else there may be
_N_SAMPLE_LINES = 20

_BOM = "\ufeff"
# What damaged files raise, plain, compressed or recoded. pyarrow's own errors of zstd are OSErrors.
READ_ERRORS = (OSError, EOFError, UnicodeError, zlib.error)
# What the errors of the csv module mean, and ours, by a part of their text.
_CSV_PROBLEMS = {
    "field larger": "a cell has more than {limit:,} characters",
    "row larger": "a row has more than {row_limit:,} characters on several lines",
    "unexpected end": "a quote opens a cell and is never closed",
    "expected after": "a quote is closed before its cell ends",
}
_MERGED = (
    "warning: rows with line ends and separators in quoted cells; if quotes are text, rows were merged: --no-quoting"
)
_EXPECTED_TEXT = "Expected a text in UTF-8; pass --encoding, such as cp1252, for another one."
_CSV_ADVICE = (
    "Is a quote left open, or is it text? Where quotes are text, pass --no-quoting if the command has it, or "
    "write JSONL, as for longer cells."
)


@dataclass
class Tally:
    """What was seen while files were read; a report is made of it.

    Attributes:
        n_lines: All lines.
        n_byte_order_marks: Byte order marks inside files, where files were joined. They are removed.
        left_out: Lines, rows and annotations that were left out, by reason.
        notes: What else is to be reported, with how often it was seen.
        first: Where each of these was first.
        n_tags_repaired: Tags that were changed to make their sequences valid.
        n_tags_missing: Tokens without a tag.
        answers: Rows by their answer in Prodigy.
    """

    n_lines: int = 0
    n_byte_order_marks: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    n_tags_repaired: int = 0
    n_tags_missing: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, where: str, number: int = 1) -> None:
        """Count something, and remember where it was first."""
        if number:
            self.notes[what] += number
            self.first.setdefault(what, where)

    def leave_out(self, reason: str, where: str) -> None:
        """Count something that is left out, and remember where it was first."""
        self.left_out[reason] += 1
        self.first.setdefault(reason, where)

    def list_counts(self) -> dict[str, Any]:
        """List what a report says of it."""
        return {
            "n_lines": self.n_lines,
            "n_byte_order_marks": self.n_byte_order_marks,
            "n_lines_left_out": dict(+self.left_out),
            "counts": dict(self.notes),
            "first": dict(self.first),
            "n_tags_repaired": self.n_tags_repaired,
            "n_tags_missing": self.n_tags_missing,
            "answer_counts": dict(self.answers),
        }


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        line: Line number of its start, from 1.
        content: The line without its end, or the cells of the row; empty for an empty line.
        n_bytes: Its size in the file.
        error: Why it cannot be read; None for a good row.
        ends_file: Whether the rows after it cannot be read either.
    """

    line: int
    content: str | list[str]
    n_bytes: int = 0
    error: ColumnFormatError | None = None
    ends_file: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether this is an empty line between rows."""
        return not self.content and self.error is None


@dataclass(kw_only=True)
class Layout(Options):
    """How rows of CSV and TSV files are laid out.

    Args:
        header: Whether the first row of CSV and TSV files names the columns, which is the default.
        quoting: Whether double quotes in CSV and TSV files may enclose a cell, which is the default; otherwise they
            are text.
        ragged: Whether rows of CSV and TSV files may have more or fewer cells than the first one, as long as they have
            those that are read.
        delimiter: What separates the cells of CSV and TSV files; by default found in their first lines.

    Raises:
        SettingError: The delimiter is no character that can separate cells.
    """

    header: bool | None = None
    quoting: bool | None = None
    ragged: bool | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        """Check the delimiter."""
        super().__post_init__()
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise SettingError("delimiter", self.delimiter, "the character that separates cells, such as a semicolon")


LAYOUT = Layout()


def read_rows(
    file: IO[bytes], path: Path | str, file_format: FileFormat, layout: Layout = LAYOUT, tally: Tally | None = None
) -> Iterator[Row]:
    r"""Read the rows of a file.

    A line ends at `\n`, `\r\n` or `\r` and nowhere else: the other characters that `str.splitlines` takes for line ends
    (U+0085, U+2028 and five more) do occur inside the words of real corpora. A byte order mark at the start of a row is
    removed: files are joined with their marks.

    Args:
        file: The file, open and decompressed.
        path: Its name in errors.
        file_format: `text` and `jsonl` for lines, `csv` and `tsv` for cells.
        layout: How cells are written. They are separated by a comma or a tab, unless the first lines have something
            else.
        tally: Counts lines and byte order marks on the way.

    Yields:
        The rows, in order, empty lines among them. A row is bad if it is not UTF-8, holds a NUL or is too long; in CSV
        and TSV also if its quotes do not match or it has another number of cells than the first one.
    """
    tally = Tally() if tally is None else tally
    lines = _read_lines(file, path, tally)
    if file_format in DELIMITERS:
        yield from _CellReader(lines, path, file_format, layout, tally)
        return
    for row, text in lines:
        line = _remove_marks(text, tally, before_blanks=False).rstrip("\r\n")
        yield row._replace(content=line if line.strip() else "")


def raise_errors(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
    """Raise the error of the first bad row, and leave out and count empty lines.

    Raises:
        ColumnFormatError: A row cannot be read.
    """
    for row in rows:
        if row.error is not None:
            raise row.error
        if row.is_empty:
            tally.left_out["empty lines"] += 1
        else:
            yield row


def read_lines(path: Path, tally: Tally | None = None, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Read the lines of a file as `read_rows` does.

    Yields:
        The number of each line, from 1, and the line without its end.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line cannot be read.
    """
    tally, number = Tally() if tally is None else tally, 0
    with open_path(path, encoding) as file:
        is_plain = find_format(path)[1] is None and file.seekable()
        while lines := _read_block(file) if is_plain else []:
            tally.n_lines += len(lines)
            yield from enumerate(lines, start=number + 1)
            number += len(lines)
        for row, text in _read_lines(file, path, tally, number):
            if row.error is not None:
                raise row.error
            yield row.line, _remove_marks(text.rstrip("\r\n"), tally, before_blanks=False)


def read_text(path: Path, encoding: str | None = None, expected: str = _EXPECTED_TEXT) -> str:
    """Read a file that is one text, exactly.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with open_path(path, encoding) as file:
            return file.read().decode("utf-8-sig")
    except READ_ERRORS as error:
        raise DataError(f"{path} cannot be read: {read_reason(error)}. {expected}") from error


def read_label_names(names: Path | str | Sequence[str] | None) -> tuple[str, ...]:
    """Read the names of labels, one per line of a file, the first one for the number 0; names are taken as they are.

    Raises:
        DataError: The file does not exist or names nothing.
        ColumnFormatError: A line is empty, though others follow, or repeats a name.
    """
    if not isinstance(names, (str, Path)):
        return tuple(names or ())
    path = Path(names)
    lines = [line.strip() for _, line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: the file names no label. Expected one name per line.")
    for number, name in enumerate(lines, start=1):
        if not name or name in lines[: number - 1]:
            problem = f"the name {name!r} occurs twice" if name else "the line is empty"
            raise ColumnFormatError(path, number, problem, "Expected one name per line, each once.")
    return tuple(lines)


def _read_block(file: IO[bytes]) -> list[str]:
    """Read many lines at once; none, and not a byte, where one of them may be bad or has to be changed."""
    start, n_bytes = file.tell(), min(_BLOCK_BYTES, MAX_LINE_BYTES // 2)
    block = file.read(n_bytes) + file.readline(n_bytes)
    try:
        text = block.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = ""
    if text.endswith("\n") and "\r" not in text and "\0" not in text and _BOM not in text:
        return text[:-1].split("\n")
    file.seek(start)
    return []


def _read_lines(file: IO[bytes], path: Path | str, tally: Tally, n_read: int = 0) -> Iterator[tuple[Row, str]]:
    """Read lines with their ends, next to rows without content; the text of a bad line is an approximation."""
    number = n_read
    try:
        for number, raw in enumerate(_split_lines(file), start=n_read + 1):
            tally.n_lines += 1
            text, error = _decode(raw, path, number)
            yield Row(number, "", len(raw or b""), error), text.removeprefix(_BOM) if number == 1 else text
    except READ_ERRORS as damage:
        problem = f"the file cannot be read from here on ({damage})"
        yield Row(number + 1, "", 0, ColumnFormatError(path, number + 1, problem, "Expected a whole file.")), ""


def _split_lines(file: IO[bytes]) -> Iterator[bytes | None]:
    r"""Split a file into lines with their ends; None for a line that is too long, the rest of which is skipped."""
    while line := file.readline(MAX_LINE_BYTES):
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
            yield from _split_at_returns(line) if b"\r" in line else (line,)
            continue
        del line
        yield None
        while (part := file.readline(1 << 20)) and not part.endswith(b"\n"):
            pass


def _split_at_returns(line: bytes) -> Iterator[bytes]:
    r"""Split at each `\r`, but not in `\r\n` or in the `\r\r\n` of a file that was converted twice."""
    text = line.rstrip(b"\r\n") if line.endswith(b"\n") else line
    *parts, last = text.split(b"\r")
    yield from (part + b"\r" for part in parts)
    if end := last + line[len(text) :]:
        yield end


def _decode(raw: bytes | None, path: Path | str, number: int) -> tuple[str, ColumnFormatError | None]:
    if raw is None:
        problem = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
        return "", ColumnFormatError(path, number, problem, "Expected shorter lines; is this a binary file?")
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"byte {raw[error.start]:#04x} at position {error.start + 1} of the line is not UTF-8"
        found = ColumnFormatError(path, number, problem, "Expected UTF-8; convert takes --encoding, such as cp1252.")
        return raw.decode("utf-8", "replace").replace("\0", "\ufffd"), found
    if "\0" in line:
        found = ColumnFormatError(path, number, "the line holds a NUL", "Expected text; is this a binary file?")
        return line.replace("\0", "\ufffd"), found  # at a NUL the csv module of Python 3.10 would stop
    return line, None


def _remove_marks(line: str, tally: Tally, *, before_blanks: bool) -> str:
    """Remove and count the byte order marks at the start of a line; before a blank a mark may be a word of its own."""
    if not line.startswith(_BOM):
        return line
    text = line.lstrip(_BOM)
    if text[:1] in (" ", "\t") and not before_blanks:
        return line
    tally.n_byte_order_marks += len(line) - len(text)
    return text


class _CellReader:
    """Rows of cells, which may span lines.

    Where the quotes of a row do not match, the next row starts on the next line, if that can be known: the row has one
    line, with an even number of quotes. Otherwise the file ends there: text after a quote that is never closed would be
    read as rows.
    """

    def __init__(
        self, lines: Iterator[tuple[Row, str]], path: Path | str, file_format: FileFormat, layout: Layout, tally: Tally
    ) -> None:
        self._path, self._is_ragged, self._is_quoted = path, layout.ragged, layout.quoting is not False
        self._quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._is_quoted else csv.QUOTE_NONE
        head = list(islice(lines, 0 if layout.delimiter else _N_SAMPLE_LINES))
        self._lines = chain(head, lines)
        self._delimiter = layout.delimiter or self._find_delimiter([text for _, text in head], DELIMITERS[file_format])
        self._tally = tally
        self._taken: list[tuple[Row, str]] = []  # the lines of this row
        self._first: Row | None = None

    def __iter__(self) -> Iterator[Row]:
        # Unless strict, `"a" b` is read as `a b`, and an open quote takes the rest of the file without an error.
        reader = csv.reader(self._feed(), delimiter=self._delimiter, quoting=self._quoting, strict=True)
        while True:
            self._taken = []
            try:
                row = self._make_row(next(reader))
            except StopIteration:
                return
            except csv.Error as error:
                problems = (text for part, text in _CSV_PROBLEMS.items() if part in str(error))
                problem = next(problems, str(error)).format(limit=csv.field_size_limit(), row_limit=MAX_ROW_CHARS)
                row = self._make_row([], problem)
            yield row
            if row.ends_file:
                return

    def _find_delimiter(self, lines: list[str], usual: str) -> str:
        """Find what cuts all of some lines into the same number of cells."""
        for delimiter in (usual, *_DELIMITERS):
            with suppress(csv.Error):
                rows = list(csv.reader(lines, delimiter=delimiter, quoting=self._quoting))
                # The last one may go on below.
                widths = {len(cells) for cells in rows[: len(rows) - (len(lines) == _N_SAMPLE_LINES)] if cells}
                if len(widths) == 1 and widths != {1}:
                    return delimiter
        return usual

    def _make_row(self, cells: list[str], problem: str = "") -> Row:
        rows, texts = [row for row, _ in self._taken], [text for _, text in self._taken]
        line = rows[0].line
        error = next((row.error for row in rows if row.error is not None), None)
        # Nothing is known of the quotes in a line that is too long.
        is_lost = any(row.error is not None and not row.n_bytes for row in rows)
        if problem:
            is_lost |= self._is_quoted and (len(rows) > 1 or texts[0].count('"') % 2 == 1)
            error = error or ColumnFormatError(self._path, line, problem, _CSV_ADVICE)
        elif len(texts) == 1 and not texts[0].strip():
            cells = []
        elif error is None:
            error = self._check_cells(Row(line, cells))
            # A quote that is text may open a cell, and the next one close it.
            if any(self._delimiter in cell and not {"\n", "\r"}.isdisjoint(cell) for cell in cells):
                self._tally.note(_MERGED, f"{self._path}, line {line}")
        return Row(line, cells, sum(row.n_bytes for row in rows), error, is_lost)

    def _check_cells(self, row: Row) -> ColumnFormatError | None:
        first = self._first = self._first or row
        if self._is_ragged or len(row.content) == len(first.content):
            return None
        problem = f"the row has {format_count(len(row.content), 'cell')}"
        expected = f"Expected {len(first.content)} as in line {first.line}, with {self._delimiter!r} between cells."
        return ColumnFormatError(self._path, row.line, problem, expected)

    def _feed(self) -> Iterator[str]:
        n_chars = 0
        for row, text in self._lines:
            if not self._taken:
                text, n_chars = _remove_marks(text, self._tally, before_blanks=True), 0
            if n_chars > MAX_ROW_CHARS:
                raise csv.Error("row larger than limit")
            self._taken.append((row, text))
            n_chars += len(text)
            yield text
