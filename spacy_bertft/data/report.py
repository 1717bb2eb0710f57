"""What a conversion has read, kept, changed and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class PartReport:
    """What one output file holds.

    Attributes:
        path: The file.
        n_sentences: Sentences of column files; 0 where labelled texts were converted.
        n_docs: Docs.
        n_tokens: Tokens.
        label_counts: Entities by label; tokens by tag; Docs by label of the text. By name.
    """

    path: Path
    n_sentences: int
    n_docs: int
    n_tokens: int
    label_counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion has read, kept, changed and left out.

    Attributes:
        paths: The files that were read.
        n_lines: Their lines.
        output: What went into the output file.
        dev: What was split off for development; None if nothing was asked for.
        test: What was split off for testing; None if nothing was asked for.
        n_lines_left_out: Lines and rows that were left out, by reason.
        n_byte_order_marks: Byte order marks that were removed inside files.
    """

    paths: tuple[Path, ...]
    n_lines: int
    output: PartReport
    dev: PartReport | None = None
    test: PartReport | None = None
    n_lines_left_out: Mapping[str, int] = field(default_factory=dict)
    n_byte_order_marks: int = 0

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """The outputs, one to three."""
        return tuple(part for part in (self.output, self.dev, self.test) if part is not None)

    @property
    def n_sentences(self) -> int:
        """Sentences of all outputs; 0 where labelled texts were converted."""
        return sum(part.n_sentences for part in self.parts)

    @property
    def n_docs(self) -> int:
        """Docs of all outputs."""
        return sum(part.n_docs for part in self.parts)

    @property
    def n_tokens(self) -> int:
        """Tokens of all outputs."""
        return sum(part.n_tokens for part in self.parts)

    @property
    def label_counts(self) -> dict[str, int]:
        """The labels of all outputs, by name."""
        labels = sorted({label for part in self.parts for label in part.label_counts})
        return {label: sum(part.label_counts.get(label, 0) for part in self.parts) for label in labels}

    def format_rows(self) -> list[tuple[str, ...]]:
        """Format the counts as rows of equal length, the first one naming the columns."""
        sentences = ("sentences", *(f"{part.n_sentences:,}" for part in self.parts))
        rows = [
            ("", *(part.path.name for part in self.parts)),
            *([sentences] if self.n_sentences else []),
            ("docs", *(f"{part.n_docs:,}" for part in self.parts)),
            ("tokens", *(f"{part.n_tokens:,}" for part in self.parts)),
            (self._counted, *(f"{sum(part.label_counts.values()):,}" for part in self.parts)),
        ]
        for label in self.label_counts:
            rows.append((f"  {label}", *(f"{part.label_counts.get(label, 0):,}" for part in self.parts)))
        return rows

    def format_notes(self) -> str:
        """Format the rest in one line: what was read, changed and left out."""
        files = "1 file" if len(self.paths) == 1 else f"{len(self.paths)} files"
        left_out = [f"{count:,} {reason}" for reason, count in self.n_lines_left_out.items()]
        notes = [
            f"{self.n_lines:,} lines of {files} read",
            *self._list_notes(),
            *([f"byte order marks removed: {self.n_byte_order_marks:,}"] if self.n_byte_order_marks else []),
            f"left out: {', '.join(left_out) or 'nothing'}",
        ]
        return "; ".join(notes) + "."

    @property
    def _counted(self) -> str:
        return "labels"

    def _list_notes(self) -> list[str]:
        return []

    def __str__(self) -> str:
        rows = self.format_rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        return "\n".join([*lines, self.format_notes()])
