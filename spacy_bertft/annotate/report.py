"""What was read, annotated and left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotateReport:
    """What was read, annotated and left out.

    Attributes:
        output: The folder of the output.
        n_read: Rows of the input; empty lines are none.
        n_written: Rows of the output.
        n_failed: Rows that could not be annotated; `errors.jsonl` says why.
        n_empty: Empty lines.
        n_shards: Shards of the output.
        n_shards_before: How many of the chunks of the input were done when this run began.
        left_out: Files in folders whose names say nothing about what is in them.
        seconds: How long this run took, without loading.
    """

    output: str
    n_read: int
    n_written: int
    n_failed: int
    n_empty: int
    n_shards: int
    n_shards_before: int
    left_out: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        parts = [f"{self.n_read:,} rows read, {self.n_written:,} written to {self.n_shards:,} shards"]
        parts.append(f"{self.n_failed:,} failed" + (f" (see {self.output}/errors.jsonl)" if self.n_failed else ""))
        if self.n_empty:
            parts.append(f"{self.n_empty:,} empty lines passed over")
        if self.n_shards_before:
            parts.append(f"{self.n_shards_before:,} shards were there before")
        if self.left_out:
            names = ", ".join(self.left_out[:3]) + (", …" if len(self.left_out) > 3 else "")
            parts.append(f"{len(self.left_out):,} files of other kinds left out: {names}")
        return "; ".join(parts) + "."
