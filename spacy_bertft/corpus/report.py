"""What a conversion has read, kept, changed and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..tags import Scheme


@dataclass(frozen=True)
class PartReport:
    """What one output file holds.

    Attributes:
        path: The file.
        n_sentences: Sentences.
        n_docs: Docs, of one or more sentences each.
        n_tokens: Tokens.
        label_counts: Entities by label; tokens by tag where plain tags were converted. By name.
    """

    path: Path
    n_sentences: int
    n_docs: int
    n_tokens: int
    label_counts: Mapping[str, int]


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion has read, kept, changed and left out.

    Every sentence that was read stands in `output` or in `dev`: a sentence is never dropped.

    Attributes:
        paths: The files that were read.
        n_lines: Their lines.
        scheme: The scheme they were read in; None for plain tags.
        output: What went into the output file.
        dev: What was split off; None if nothing was asked for.
        n_tags_repaired: Tags changed to make their sequences legal.
        n_lines_left_out: Lines that hold no token, by reason; blank lines are not counted.
    """

    paths: tuple[Path, ...]
    n_lines: int
    scheme: Scheme | None
    output: PartReport
    dev: PartReport | None = None
    n_tags_repaired: int = 0
    n_lines_left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """The outputs, one or two."""
        return (self.output,) if self.dev is None else (self.output, self.dev)

    @property
    def n_sentences(self) -> int:
        """Sentences of all outputs."""
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
        """Entities by label, or tokens by tag, of all outputs."""
        labels = sorted({label for part in self.parts for label in part.label_counts})
        return {label: sum(part.label_counts.get(label, 0) for part in self.parts) for label in labels}

    def format_rows(self) -> list[tuple[str, ...]]:
        """Format the counts as rows of equal length, the first one naming the columns."""
        what = "entities" if self.scheme else "tags"
        rows = [
            ("", *(part.path.name for part in self.parts)),
            ("sentences", *(f"{part.n_sentences:,}" for part in self.parts)),
            ("docs", *(f"{part.n_docs:,}" for part in self.parts)),
            ("tokens", *(f"{part.n_tokens:,}" for part in self.parts)),
            (what, *(f"{sum(part.label_counts.values()):,}" for part in self.parts)),
        ]
        for label in self.label_counts:
            rows.append((f"  {label}", *(f"{part.label_counts.get(label, 0):,}" for part in self.parts)))
        return rows

    def format_notes(self) -> str:
        """Format the rest in one line: what was read, repaired and left out."""
        files = "1 file" if len(self.paths) == 1 else f"{len(self.paths)} files"
        left_out = [f"{count:,} {reason}" for reason, count in self.n_lines_left_out.items()]
        notes = [
            f"{self.n_lines:,} lines of {files} read",
            f"scheme {self.scheme}" if self.scheme else "plain tags",
            f"tags repaired: {self.n_tags_repaired:,}",
            f"left out: {', '.join(left_out) or 'nothing'}",
        ]
        return "; ".join(notes) + "."

    def __str__(self) -> str:
        rows = self.format_rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        return "\n".join([*lines, self.format_notes()])
