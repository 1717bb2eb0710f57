"""How a server works, whatever runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spacy_bertft.errors import check_setting

FAILED_TO_START = 3  # the exit code after which uvicorn's supervisor ends the server


@dataclass(frozen=True)
class ServeSettings:
    """How requests are answered.

    Attributes:
        pipelines: Directories, or names of installed pipelines, by the names that requests choose them by.
        max_delay_ms: How long a text waits at most for others to be annotated with.
        max_batch_chars: Maximum characters of a batch, but for one text that is longer.
        queue_size: Texts that may wait for each pipeline.
        max_chars: Characters of a text.
        max_body_mb: Megabytes of a request.
        gpu_id: Number of the GPU, -1 for the CPU.
    """

    pipelines: Mapping[str, str]
    max_delay_ms: float = 2.0
    max_batch_chars: int = 16_384
    queue_size: int = 1000
    max_chars: int = 10_000
    max_body_mb: float = 1.0
    gpu_id: int = -1

    def __post_init__(self) -> None:
        for name in ("max_batch_chars", "queue_size", "max_chars", "max_body_mb"):
            value = getattr(self, name)
            check_setting(name, value, 0 < value < math.inf, "a number above 0")
        check_setting("max_delay_ms", self.max_delay_ms, 0 <= self.max_delay_ms < math.inf, "0 or more milliseconds")
