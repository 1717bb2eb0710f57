"""What became of a chunk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from spacy_bertft.annotate.chunks import Problem
from spacy_bertft.annotate.storage import OutputDir


@dataclass(frozen=True)
class ShardReport:
    """What became of a chunk.

    Attributes:
        shard: Name of the shard, without a suffix.
        source: Name of the file that it comes from.
        n_written: Rows in the shard; without any it is not written.
        n_empty: Empty lines.
        weight: Bytes of the file that it stands for.
        problems: Rows that could not be annotated.
    """

    shard: str
    source: str
    n_written: int
    n_empty: int
    weight: int
    problems: tuple[Problem, ...]

    @property
    def n_read(self) -> int:
        """Rows of the chunk."""
        return self.n_written + len(self.problems)

    def to_json(self) -> str:
        """Format the report."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, content: str | bytes) -> ShardReport:
        """Parse a report."""
        values = json.loads(content)
        return cls(**{**values, "problems": tuple(Problem(*problem) for problem in values["problems"])})

    def write(self, output: OutputDir) -> None:
        """Write the report among what is temporary in the output: its shard is done."""
        output.write(f"{OutputDir.TEMPORARY}/{self.shard}.json", self.to_json().encode("utf-8"))
