"""Sequences of different lengths, walked through together, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Steps:
    """A batch of flat sequences in time-major order, without padding.

    Step `t` holds token `t` of every sequence longer than `t`, longest sequence first, so the rows of a step are
    the first rows of the step before it. (The layout of torch's `PackedSequence`.)

    Attributes:
        order: `(T,)` flat token of each time-major row.
        bounds: `(n_steps + 1,)` first time-major row of each step, and `T`.
        sequences: `(B,)` the sequence of each row of a step; empty sequences come last.
    """

    order: NDArray[np.intp]
    bounds: NDArray[np.intp]
    sequences: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def slices(self) -> Iterator[slice]:
        """Yield the time-major rows of each step, first to last."""
        for start, end in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True):
            yield slice(start, end)

    def unpack(self, values: NDArray[Number]) -> NDArray[Number]:
        """Put time-major rows back in the order of the flat sequences, `(T, …)`."""
        flat = np.empty_like(values)
        flat[self.order] = values
        return flat


def count_rows(rows: slice) -> int:
    """Count the rows of a step."""
    return int(rows.stop - rows.start)


def pick_first(before: slice, rows: slice) -> slice:
    """Return the rows of the step before that go on in this one."""
    return slice(before.start, before.start + count_rows(rows))


def build_steps(lengths: NDArray[np.intp]) -> Steps:
    """Lay out flat sequences step by step.

    Args:
        lengths: `(B,)` tokens per sequence; the sequences stand one after the other.

    Example:
        >>> build_steps(np.array([1, 3])).order.tolist()
        [1, 0, 2, 3]
    """
    sequences = np.argsort(-lengths, kind="stable")
    rank = np.empty_like(sequences)
    rank[sequences] = np.arange(len(lengths))
    starts = np.cumsum(lengths) - lengths
    step = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    order = np.lexsort((np.repeat(rank, lengths), step))
    n_rows = np.bincount(step) if len(step) else np.zeros(0, dtype=np.intp)
    bounds = np.concatenate([[0], np.cumsum(n_rows)]).astype(np.intp)
    return Steps(order=order, bounds=bounds, sequences=sequences)
