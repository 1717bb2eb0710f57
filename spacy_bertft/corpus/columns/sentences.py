"""Column files → sentences of words and tags, one line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ColumnFormatError
from ..lines import read_lines
from .layout import BLANKS, ColumnLayout


@dataclass
class ColumnSentence:
    """A sentence as it stands in the file.

    Attributes:
        line: Line number of the first token, from 1. The others follow without a gap.
        is_doc_start: Whether a document starts here.
        words: The words.
        tags: The tags, one per word.
    """

    line: int
    is_doc_start: bool
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


@dataclass
class LineTally:
    """What a reader has seen so far; a report is made of it.

    Attributes:
        n_lines: All lines.
        n_comments: Comment lines, left out.
        n_document_starts: `-DOCSTART-` lines, left out.
        n_tags_repaired: Tags that were changed to make their sequences legal.
    """

    n_lines: int = 0
    n_comments: int = 0
    n_document_starts: int = 0
    n_tags_repaired: int = 0


def read_columns(path: Path, layout: ColumnLayout, tally: LineTally | None = None) -> Iterator[ColumnSentence]:
    """Read the sentences of a column file.

    Args:
        path: The file.
        layout: Where words and tags stand in it.
        tally: Counts the lines on the way.

    Raises:
        ColumnFormatError: A line lacks a column, or has one too many.
    """
    tally = LineTally() if tally is None else tally
    sentence: ColumnSentence | None = None
    is_doc_start = True
    for number, line in read_lines(path):
        tally.n_lines += 1
        starts_doc = layout.is_document_start(line)
        if starts_doc or not line.strip(BLANKS):
            if sentence:
                yield sentence
            sentence = None
            is_doc_start |= starts_doc
            tally.n_document_starts += starts_doc
        elif sentence is None and layout.is_comment(line):
            tally.n_comments += 1
        else:
            sentence = sentence or ColumnSentence(number, is_doc_start)
            is_doc_start = False
            word, tag = _read_token(line, path, number, layout)
            sentence.words.append(word)
            sentence.tags.append(tag)
    if sentence:
        yield sentence


def _read_token(line: str, path: Path, number: int, layout: ColumnLayout) -> tuple[str, str]:
    columns = layout.split(line)
    separator = "tabs" if layout.is_tabbed else "blanks"
    expected = f"Expected {layout.n_columns} columns parted by {separator}, the tag {layout.tag_column}."
    if len(columns) != layout.n_columns:
        found = f"{len(columns)} column{'s' if len(columns) > 1 else ''}"
        raise ColumnFormatError(path, number, f"{line!r} has {found}", expected)
    word, tag = layout.order(columns)
    if not word or not tag:
        problem = f"{line!r} has no {'tag' if word else 'word'}"
        raise ColumnFormatError(path, number, problem, expected)
    return word, tag
