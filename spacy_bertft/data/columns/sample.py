"""The first lines of a column file, from which its layout is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from spacy_bertft.data.columns.layout import BLANKS, may_be_comment, may_start_document, split_line
from spacy_bertft.data.columns.names import find_declared_names
from spacy_bertft.data.lines import read_lines
from spacy_bertft.errors import DataError

_SIZE = 10_000


@dataclass(frozen=True)
class SampleRow:
    """A line that is likely to be a token.

    Attributes:
        number: Line number, from 1.
        line: The line.
        sentence: Number of its sentence.
        columns: Its columns, once it is known what separates them.
    """

    number: int
    line: str
    sentence: int
    columns: list[str] = field(default_factory=list)


def read_sample(path: Path) -> tuple[list[SampleRow], tuple[str, ...]]:
    """Read the first ten thousand tokens, and the names that a comment declares for the columns.

    Raises:
        DataError: The file holds no token.
    """
    declared: list[str] = []
    rows = list(islice(_read_rows(path, declared), _SIZE))
    if not rows:
        raise DataError(f"{path}: the file holds no token. Expected lines of words and tags.")
    # A file of nothing but lines with `# ` holds the word `#`.
    return _drop_comments(rows) or rows, tuple(declared)


def split_rows(rows: Sequence[SampleRow], *, is_tabbed: bool) -> list[SampleRow]:
    """Split the rows into columns."""
    return [SampleRow(row.number, row.line, row.sentence, split_line(row.line, is_tabbed=is_tabbed)) for row in rows]


def _read_rows(path: Path, declared: list[str]) -> Iterator[SampleRow]:
    sentence = 0
    for number, line in read_lines(path):
        if may_start_document(line) or not line.strip(BLANKS):
            sentence += 1
        else:
            if line.startswith("#") and not declared:
                declared.extend(find_declared_names(line))
            yield SampleRow(number, line, sentence)


def _drop_comments(rows: Sequence[SampleRow]) -> list[SampleRow]:
    """Drop the lines that open a sentence and may be comments."""
    kept: list[SampleRow] = []
    for row in rows:
        opens = not kept or kept[-1].sentence != row.sentence
        if not (opens and may_be_comment(row.line) and not row.line.startswith("#\t")):
            kept.append(row)
    return kept
