"""A row of a CSV, TSV or JSONL file, before its label is understood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import ColumnFormatError


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file.

    Attributes:
        path: The file.
        line: Line number of its start, from 1.
        text: The text, exactly.
        second: The second text of a pair; None where texts are single.
        label: What stands in the place of the label: a string or, in JSONL, any value.
    """

    path: Path
    line: int
    text: str
    second: str | None
    label: object

    def error(self, problem: str, expected: str) -> ColumnFormatError:
        """Make an error that names the place of the row."""
        return ColumnFormatError(self.path, self.line, problem, expected)


@dataclass
class RowTally:
    """What a reader has seen so far; a report is made of it.

    Attributes:
        n_lines: All lines.
        n_empty_lines: Empty lines between rows, left out.
        n_empty_texts: Rows whose text is empty or nothing but whitespace, left out.
    """

    n_lines: int = 0
    n_empty_lines: int = 0
    n_empty_texts: int = 0

    def list_left_out(self) -> dict[str, int]:
        """List what was left out, by reason."""
        reasons = {"empty lines": self.n_empty_lines, "rows without text": self.n_empty_texts}
        return {reason: count for reason, count in reasons.items() if count}
