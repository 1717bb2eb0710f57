"""A row of a CSV, TSV or JSONL file, before its label is understood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spacy_bertft.data.lines import FileTally
from spacy_bertft.errors import ColumnFormatError

Answer = Literal["accept", "reject", "ignore"]
ANSWER_COLUMN = "answer"


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file.

    Attributes:
        path: The file.
        line: Line number of its start, from 1.
        text: The text, exactly.
        second: The second text of a pair; None where texts are single.
        label: What stands in the place of the label: a string or, in JSONL, any value.
        answer: What the field `answer` holds, where Prodigy writes what was decided; None if there is none.
        options: The labels that Prodigy's choice interface offered; `label` lists the selected ones. None elsewhere.
    """

    path: Path
    line: int
    text: str
    second: str | None
    label: object
    answer: object = None
    options: list[object] | None = None

    def error(self, problem: str, expected: str) -> ColumnFormatError:
        """Make an error that names the place of the row."""
        return ColumnFormatError(self.path, self.line, problem, expected)


@dataclass
class RowTally(FileTally):
    """What a reader has seen so far; a report is made of it.

    Attributes:
        n_empty_lines: Empty lines between rows, left out.
        n_empty_texts: Rows whose text is empty or nothing but whitespace, left out.
        n_headers: Rows that repeat the first one, which names the columns; left out.
        n_ignored: Rows whose answer is `ignore`, left out.
        n_undecided: Rows whose answer is `reject`, but which name no label that was rejected; left out.
        n_accepted: Rows whose answer is `accept`.
        n_rejected: Rows whose answer is `reject`: their labels are 0.
        n_unanswered: Rows of the choice interface without an answer, read as accepted.
        n_merged: Quoted cells that hold a line end and the separator of cells.
        first_merged: Where the first of them stands.
    """

    n_empty_lines: int = 0
    n_empty_texts: int = 0
    n_headers: int = 0
    n_ignored: int = 0
    n_undecided: int = 0
    n_accepted: int = 0
    n_rejected: int = 0
    n_unanswered: int = 0
    n_merged: int = 0
    first_merged: str = ""

    def count_answers(self) -> dict[str, int]:
        """Count the rows by what was answered in Prodigy."""
        return {
            "accepted": self.n_accepted,
            "rejected (their labels are 0)": self.n_rejected,
            "choices without an answer, taken as accepted": self.n_unanswered,
        }

    def list_left_out(self) -> dict[str, int]:
        """List what was left out, by reason."""
        reasons = {"empty lines": self.n_empty_lines, "rows without text": self.n_empty_texts}
        reasons |= {
            "repeated header rows": self.n_headers,
            "rows answered with ignore": self.n_ignored,
            "rejected rows without a label": self.n_undecided,
        }
        return {reason: count for reason, count in reasons.items() if count}
