"""How documents are annotated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacy_bertft.errors import SettingError

Engine = Literal["local", "ray"]
OutputFormat = Literal["jsonl", "parquet", "docbin"]
# What a column of JSON objects may hold in Parquet.
Kind = Literal["string", "int64", "double", "bool"]

ENGINES: tuple[Engine, ...] = ("local", "ray")
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("jsonl", "parquet", "docbin")


@dataclass(frozen=True)
class AnnotateSettings:
    """What decides how rows become shards; a resumed run must have the same.

    Attributes:
        output_format: Of the shards.
        text_column: The column of the texts, where a file has columns.
        quoting: Whether double quotes in CSV and TSV may enclose a cell; otherwise they are text.
        shard_rows: A shard has at most so many rows,
        shard_mb: and so many megabytes of input, but for one row that is larger.
        max_chars: Longer texts are problems; None for the limit of the pipeline.
        answers: What the pipeline finds, of `ents`, `cats`, `spans`, `tags`, `answers`, and the name of the column.
        entity_groups: Groups in `doc.spans` that hold entities, and are not among the spans.
        kinds: What is known of the columns of JSONL, where the output has a schema.
    """

    output_format: OutputFormat = "jsonl"
    text_column: str = "text"
    quoting: bool = True
    shard_rows: int = 5000
    shard_mb: float = 4.0
    max_chars: int | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    entity_groups: tuple[str, ...] = ()
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("shard_rows", "shard_mb", "max_chars"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingError(name, value, "a number above 0")

    @property
    def shard_bytes(self) -> int:
        """Bytes of input after which a shard ends."""
        return max(1, int(self.shard_mb * 1_000_000))


@dataclass(frozen=True)
class WorkerSettings:
    """How one worker annotates; a resumed run may have others.

    Attributes:
        pipeline: A directory, or the name of an installed pipeline.
        output_url: Where the shards go.
        device: `cpu`, `cuda`, or `cuda:1` for the second GPU.
        batch_size: Documents of a batch; None for more of short ones and fewer of long ones.
        is_strict: Whether a shard with problems is not written.
    """

    pipeline: str
    output_url: str
    device: str = "cpu"
    batch_size: int | None = None
    is_strict: bool = False

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise SettingError("batch_size", self.batch_size, "a number above 0")
        self.find_gpu()

    def find_gpu(self) -> int | None:
        """Return the number of the GPU, or nothing for the CPU.

        Raises:
            SettingError: The device is neither.
        """
        kind, _, number = self.device.partition(":")
        if self.device == "cpu":
            return None
        if kind != "cuda" or not (number.isdecimal() or self.device == "cuda"):
            raise SettingError("device", self.device, "cpu, cuda, or cuda:N for the GPU number N")
        return int(number or 0)
