"""What a conversion reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spacy_bertft.errors import format_count
from spacy_bertft.tags.grammar import TagScheme

_COUNTED = {"ents": "entities", "spans": "spans", "tags": "tags", "qa": "questions"}


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

    Every sentence that was read from column files is in one of the outputs: a sentence is never dropped. Their blank
    lines are not counted among what was left out.

    Attributes:
        paths: The files that were read.
        n_lines: Their lines.
        output: What went into the output file.
        dev: What was split off for development; None if nothing was asked for.
        test: What was split off for testing; None if nothing was asked for.
        kind: What the files were converted to.
        file_format: The format that they were read in, where it was given or found.
        n_lines_left_out: Lines and rows that were left out, by reason.
        n_byte_order_marks: Byte order marks that were removed inside files.
        counts: What else was seen or changed, with how often.
        first: Where each of these, and of what was left out, was first.
        problems: What may be wrong with the corpus.
        is_dry_run: Whether nothing was to be written.
        example: Then, the first Doc as it was read.
        spans_key: The group in `doc.spans` that was written; None for anything else.
        columns: Of column files, in which columns words and tags are.
        scheme: Of column files, the scheme they were read in; None for plain tags.
        n_tags_repaired: Of column files, tags changed to make their sequences valid.
        n_tags_missing: Of column files, tokens without a tag.
        answer_counts: Rows by what was answered in Prodigy; those that were ignored are left out.
        ranges: Of numbers, the lowest, the mean and the highest, by name.
    """

    paths: tuple[Path, ...]
    n_lines: int
    output: PartReport
    dev: PartReport | None = None
    test: PartReport | None = None
    kind: str = "cats"
    file_format: str | None = None
    n_lines_left_out: Mapping[str, int] = field(default_factory=dict)
    n_byte_order_marks: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    problems: str = ""
    is_dry_run: bool = False
    example: str = ""
    spans_key: str | None = None
    columns: str = ""
    scheme: TagScheme | None = None
    n_tags_repaired: int = 0
    n_tags_missing: int = 0
    answer_counts: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

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
        """Format the counts as rows of equal length, the first one naming the columns; none of a dry run."""
        if self.is_dry_run:
            return []
        counts: dict[str, list[int]] = {
            "sentences": [part.n_sentences for part in self.parts],
            "docs": [part.n_docs for part in self.parts],
            "tokens": [part.n_tokens for part in self.parts],
            _COUNTED.get(self.kind, "labels"): [sum(part.label_counts.values()) for part in self.parts],
        }
        for label in self.label_counts:
            counts[f"  {label}"] = [part.label_counts.get(label, 0) for part in self.parts]
        if not self.n_sentences:
            del counts["sentences"]
        names = ("", *(part.path.name for part in self.parts))
        return [names, *((name, *(f"{count:,}" for count in row)) for name, row in counts.items())]

    def format_notes(self) -> str:
        """Format the rest in one line: what was read, changed and left out; after a dry run, the first Doc."""
        columns = [self.columns, f"scheme {self.scheme}" if self.scheme else "plain tags"] if self.columns else []
        if self.is_dry_run:
            return "; ".join([*columns, f"the first document:\n{self.example}"])
        answers = ", ".join(f"{count:,} {answer}" for answer, count in self.answer_counts.items())
        notes = [
            f"{format_count(self.n_lines, 'question' if self.kind == 'qa' else 'line')} of "
            f"{format_count(len(self.paths), 'file')} read",
            *columns,
            f"doc.spans[{self.spans_key!r}]" if self.spans_key else "",
            f"tags repaired: {self.n_tags_repaired:,}" if self.columns else "",
            f"tokens without a tag: {self.n_tags_missing:,}" if self.n_tags_missing else "",
            f"answers: {answers}" if answers else "",
            *(f"{name} from {low:g} to {high:g}, mean {mean:.4g}" for name, (low, mean, high) in self.ranges.items()),
            *(f"{what}: {count:,} (the first: {self.first[what]})" for what, count in self.counts.items()),
            f"byte order marks removed: {self.n_byte_order_marks:,}" if self.n_byte_order_marks else "",
            f"left out: {format_left_out(self.n_lines_left_out, self.first)}",
            self.problems,
        ]
        return "; ".join(filter(None, notes)) + "."

    def __str__(self) -> str:
        rows = self.format_rows() or [("",)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        return "\n".join([*lines, self.format_notes()]).lstrip("\n")


def format_left_out(counts: Mapping[str, int], first: Mapping[str, str] | None = None) -> str:
    """Write how many lines or rows were left out, by reason, and where the first of them was, as far as known."""
    places = {reason: f", the first: {where}" for reason, where in (first or {}).items()}
    return ", ".join(f"{reason} ({count:,}{places.get(reason, '')})" for reason, count in counts.items()) or "nothing"
