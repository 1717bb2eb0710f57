"""What a conversion of labelled texts adds to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spacy_bertft.data.report import ConversionReport


@dataclass(frozen=True, kw_only=True)
class TextReport(ConversionReport):
    """What a conversion of labelled texts has done.

    Attributes:
        answer_counts: Rows by what was answered in Prodigy; those that were ignored are left out.
        n_merged: Quoted cells that hold a line end and the separator of cells, so that they may be several rows.
        first_merged: File and line of the first of them.
    """

    answer_counts: Mapping[str, int] = field(default_factory=dict)
    n_merged: int = 0
    first_merged: str = ""

    def _list_notes(self) -> list[str]:
        answers = ", ".join(f"{count:,} {answer}" for answer, count in self.answer_counts.items() if count)
        notes = [f"answers: {answers}"] if answers else []
        if self.n_merged:
            cells = "1 quoted cell holds" if self.n_merged == 1 else f"{self.n_merged:,} quoted cells hold"
            notes.append(
                f"warning: {cells} line ends and separators, the first in "
                f"{self.first_merged}; if quotes are text there, rows were merged: pass --no-quoting"
            )
        return notes
