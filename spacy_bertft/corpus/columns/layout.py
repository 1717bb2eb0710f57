"""The layout of a column file: what parts the columns, and which of them hold words and tags.

What is what, line by line:

- A line of blanks only ends a sentence.
- `-DOCSTART-`, alone or followed by other columns, starts a document.
- A line that opens a sentence with `# ` is a comment, unless it reads as a token: the right number of columns, and
  a tag where the tags stand. So `# id = 7` is a comment, while `# O` and `#hashtag<TAB>O` are words. A line with a
  tab is never a comment.
- Everything else is a token and has to read as one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...errors import ColumnFormatError, DataError
from ..lines import read_lines
from .options import ColumnOptions, Kind, TagColumn

BLANKS = " \t"
_RUN_OF_BLANKS = re.compile(r"[ \t]+")
_TAG = re.compile(r"O|[BILUES]-.+")
_MARK = "-DOCSTART-"
_DOCUMENT_START = re.compile(rf"{_MARK}(?:[ \t]|$)")
_SAMPLE_SIZE = 10_000
_ADVICE_ON_TEXTS = "labelled texts in CSV, TSV or JSONL are converted with --as cats"


@dataclass(frozen=True)
class ColumnLayout:
    """Where words and tags stand in the lines of a file.

    The word stands at the end of the line that the tag leaves free: `TAG word`, `word TAG`, `word … TAG`.

    Attributes:
        is_tabbed: Whether single tabs part the columns; otherwise runs of blanks and tabs do.
        n_columns: How many columns every line has.
        tag_column: Which of them holds the tags.
        kind: What counts as a tag.
    """

    is_tabbed: bool
    n_columns: int
    tag_column: TagColumn
    kind: Kind = "ents"

    def split(self, line: str) -> list[str]:
        """Split a line into its columns, without the blanks around each."""
        return split_line(line, is_tabbed=self.is_tabbed)

    def order(self, columns: Sequence[str]) -> tuple[str, str]:
        """Take the word and the tag out of the columns of a line."""
        return (columns[-1], columns[0]) if self.tag_column == "first" else (columns[0], columns[-1])

    def is_document_start(self, line: str) -> bool:
        """Say whether the line separates two documents."""
        if _MARK not in line:
            return False
        return _DOCUMENT_START.match(line) is not None or self.order(self.split(line))[0] == _MARK

    def is_comment(self, line: str) -> bool:
        """Say whether the line is a comment, given that it opens a sentence."""
        return may_be_comment(line) and not self._is_token(line)

    def _is_token(self, line: str) -> bool:
        columns = self.split(line)
        return len(columns) == self.n_columns and is_tag(self.order(columns)[1], self.kind)


def detect_layout(path: Path, options: ColumnOptions) -> ColumnLayout:
    """Find out the layout of a file from its first ten thousand tokens.

    The majority decides, so that a malformed line is later reported as itself. The tags stand in the column whose
    values look like `O` or `B-X`; among plain tags, in the column that has fewer different values. In doubt they
    stand last.

    Args:
        path: The file.
        options: The kind of the tags, and their column where it is known.

    Raises:
        DataError: The file holds no token.
        ColumnFormatError: The file has one column only, or no column of tags.
    """
    sample = _read_sample(path)
    is_tabbed = 2 * sum("\t" in line for _, line in sample) >= len(sample)
    rows = [(number, split_line(line, is_tabbed=is_tabbed)) for number, line in sample]
    n_columns = Counter(len(columns) for _, columns in rows).most_common(1)[0][0]
    if n_columns == 1:
        number, columns = rows[0]
        expected = f"Expected a word and a tag, parted by a tab or by blanks; {_ADVICE_ON_TEXTS}."
        raise ColumnFormatError(path, number, f"the line has one column, {columns[0]!r}", expected)
    rows = [row for row in rows if len(row[1]) == n_columns]
    tag_column = options.tag_column or _find_tag_column([columns for _, columns in rows], options.kind)
    layout = ColumnLayout(is_tabbed, n_columns, tag_column, options.kind)
    _check_tags(path, rows, layout)
    return layout


def split_line(line: str, *, is_tabbed: bool) -> list[str]:
    """Split a line into columns.

    Only tabs or ASCII blanks part columns: a no-break space belongs to its word, and `str.split` without an
    argument would cut there.
    """
    if is_tabbed:
        return [column.strip(" ") for column in line.split("\t")]
    return _RUN_OF_BLANKS.split(line.strip(BLANKS))


def is_tag(text: str, kind: Kind) -> bool:
    """Say whether a text looks like a tag; any text does where tags are plain."""
    return kind == "tags" or _TAG.fullmatch(text) is not None


def may_be_comment(line: str) -> bool:
    """Say whether a line looks like a comment, whatever the layout."""
    return line.startswith("# ") and "\t" not in line


def _read_sample(path: Path) -> list[tuple[int, str]]:
    lines = ((number, line) for number, line in read_lines(path) if line.strip(BLANKS))
    tokens = (row for row in lines if not _DOCUMENT_START.match(row[1]))
    sample = list(islice(tokens, _SAMPLE_SIZE))
    if not sample:
        raise DataError(f"{path}: the file holds no token. Expected lines of words and tags.")
    # A file of nothing but lines with `# ` holds the word `#`.
    return [row for row in sample if not may_be_comment(row[1])] or sample


def _find_tag_column(rows: Sequence[Sequence[str]], kind: Kind) -> TagColumn:
    if kind == "tags":
        return "first" if len({row[0] for row in rows}) < len({row[-1] for row in rows}) else "last"
    n_first = sum(is_tag(row[0], kind) for row in rows)
    n_last = sum(is_tag(row[-1], kind) for row in rows)
    return "first" if n_first > n_last else "last"


def _check_tags(path: Path, rows: Sequence[tuple[int, list[str]]], layout: ColumnLayout) -> None:
    tags = [(number, layout.order(columns)[1]) for number, columns in rows]
    wrong = [row for row in tags if not is_tag(row[1], layout.kind)]
    if 2 * len(wrong) > len(tags):
        number, tag = wrong[0]
        expected = (
            f"Expected O or a tag such as B-PER in the {layout.tag_column} column; "
            "pass --tag-column to take the other one, or --as tags for a file of plain tags; "
            f"{_ADVICE_ON_TEXTS}."
        )
        raise ColumnFormatError(path, number, f"{tag!r} is not an entity tag", expected)
