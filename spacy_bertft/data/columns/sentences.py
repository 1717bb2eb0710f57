"""Column files → sentences of words and tags, one line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spacy_bertft.data.columns.layout import BLANKS, ColumnLayout
from spacy_bertft.data.lines import FileTally, read_lines
from spacy_bertft.errors import ColumnFormatError


@dataclass
class ColumnSentence:
    """A sentence as it stands in the file.

    Attributes:
        is_doc_start: Whether a document starts here.
        lines: Line numbers of the tokens, from 1.
        words: The words.
        tags: The tags, one per word; empty where there is none.
    """

    is_doc_start: bool
    lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


@dataclass
class LineTally(FileTally):
    """What a reader has seen so far; a report is made of it.

    Attributes:
        n_comments: Comment lines, left out.
        n_document_starts: `-DOCSTART-` lines, left out.
        n_headers: Lines that name the columns, left out.
        n_no_tokens: Lines numbered as ranges or empty nodes, left out.
        n_tags_repaired: Tags that were changed to make their sequences legal.
        n_tags_missing: Tokens without a tag.
    """

    n_comments: int = 0
    n_document_starts: int = 0
    n_headers: int = 0
    n_no_tokens: int = 0
    n_tags_repaired: int = 0
    n_tags_missing: int = 0

    def list_left_out(self) -> dict[str, int]:
        """List what was left out, by reason."""
        reasons = {
            "comment lines": self.n_comments,
            "-DOCSTART- lines": self.n_document_starts,
            "header lines": self.n_headers,
            "ranges (2-3) and empty nodes (1.1)": self.n_no_tokens,
        }
        return {reason: count for reason, count in reasons.items() if count}


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
    for number, line in read_lines(path, tally):
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
            columns = _read_columns(line, path, number, layout)
            if layout.is_header(columns):
                tally.n_headers += 1
                continue
            if layout.is_no_token(columns):
                tally.n_no_tokens += 1
                continue
            word, tag = _read_token(columns, line, path, number, layout)
            tally.n_tags_missing += not tag
            sentence = sentence or ColumnSentence(is_doc_start)
            is_doc_start = False
            sentence.lines.append(number)
            sentence.words.append(word)
            sentence.tags.append(tag)
    if sentence:
        yield sentence


def _read_columns(line: str, path: Path, number: int, layout: ColumnLayout) -> list[str]:
    columns = layout.split(line)
    if len(columns) != layout.n_columns:
        found = f"{len(columns)} column{'s' if len(columns) > 1 else ''}"
        raise _make_error(path, number, f"{line!r} has {found}", layout)
    return columns


def _read_token(columns: list[str], line: str, path: Path, number: int, layout: ColumnLayout) -> tuple[str, str]:
    word, tag = layout.order(columns)
    if not layout.is_numbered(columns):
        raise _make_error(path, number, f"{line!r} has no number of its row", layout)
    if not word or not tag:
        raise _make_error(path, number, f"{line!r} has no {'tag' if word else 'word'}", layout)
    return word, "" if layout.is_missing(tag) else tag


def _make_error(path: Path, number: int, problem: str, layout: ColumnLayout) -> ColumnFormatError:
    separator = "tabs" if layout.is_tabbed else "blanks"
    expected = f"Expected {layout.n_columns} columns separated by {separator}, {layout.describe()}."
    return ColumnFormatError(path, number, problem, expected)
