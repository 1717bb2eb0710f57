"""How much memory this process takes, over the parts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic

import psutil

_PERIOD = 0.05  # seconds


@dataclass
class Part:
    """The memory over a part of a run.

    Attributes:
        n_samples: How often it was looked at.
        total: Sum of what was seen, in bytes.
        peak: The most that was seen, in bytes.
    """

    n_samples: int = 0
    total: int = 0
    peak: int = 0

    @property
    def mean(self) -> float:
        """What was seen on average, in bytes."""
        return self.total / max(1, self.n_samples)

    def add(self, n_bytes: int) -> None:
        """Add what is seen now."""
        self.n_samples += 1
        self.total += n_bytes
        self.peak = max(self.peak, n_bytes)


class MemoryWatch:
    """Look at the resident memory of a process twenty times a second, for as long as this context lasts.

    Args:
        seconds: How long the run takes, which is cut into equal parts; what is seen later belongs to the last part.
        n_parts: How many parts.
        pid: The process, by default this one.

    Attributes:
        parts: What was seen.
    """

    def __init__(self, seconds: float, n_parts: int, pid: int | None = None) -> None:
        self.parts = [Part() for _ in range(n_parts)]
        self._seconds = seconds
        self._process = psutil.Process(pid)
        self._is_over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._start = monotonic()
        self._look()  # on a busy machine the thread may come late, but there is always a first part
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_PERIOD):
            self._look()

    def _look(self) -> None:
        n_parts = len(self.parts)
        number = int(n_parts * (monotonic() - self._start) / self._seconds)
        self.parts[min(number, n_parts - 1)].add(self._process.memory_info().rss)


def find_growth(parts: Sequence[Part]) -> float:
    """Find by how much the mean grew at most over that of the first part; 0.01 is one hundredth."""
    first, *others = parts
    return max(part.mean for part in others) / first.mean - 1


def format_parts(parts: Sequence[Part], name: str) -> str:
    """Write a line for each part: mean, peak, and both relative to the first."""
    lines = []
    for number, part in enumerate(parts, start=1):
        mean, peak = part.mean / parts[0].mean - 1, part.peak / parts[0].peak - 1
        lines.append(
            f"{name} {number:2}   mean {part.mean / 2**20:8.1f} MB ({mean:+.2%})   "
            f"peak {part.peak / 2**20:8.1f} MB ({peak:+.2%})"
        )
    return "\n".join(lines)
