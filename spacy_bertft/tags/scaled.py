"""Forward and backward sums with a scale for every step instead of logarithms: the same numbers, several times as fast.

Source: Rabiner (1989), section V.A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.log_space import Floats, LogMatrix, find_depth, find_lowest, finite_max, matmul
from spacy_bertft.tags.steps import Steps, count_rows, pick_first

# No product is lost to underflow while factors are above `exp(-100)` and sums above this.
_DEEPEST = 100.0
_LEAST = 1e-200


@dataclass(frozen=True)
class Sums:
    """Logarithms of sums over paths, in time-major order.

    Attributes:
        alpha: `(T, L)` over the paths up to and with a token.
        beta: `(T, L)` over those after it.
    """

    alpha: Floats
    beta: Floats


def sum_scaled(
    scores: Floats, lengths: NDArray[np.integer], steps: Steps, start: Floats, matrix: LogMatrix, end: Floats
) -> Sums | None:
    """Sum over all paths of every sequence, from both sides.

    Args:
        scores: `(T, L)` tag scores in time-major order; minus infinity forbids a tag.
        lengths: `(B,)` tokens per sequence.
        steps: The order.
        start: `(L,)` for opening with a tag.
        matrix: `(L, L)` for a tag after another.
        end: `(L,)` for closing with a tag.

    Returns:
        The sums; nothing where numbers lie so far apart that some could be lost, or where a sequence has no legal path.
    """
    bounds = np.stack([start, end])
    top, (start_top, end_top) = finite_max(scores)[:, 0], finite_max(bounds)[:, 0]
    below = scores - top[:, None]
    deepest = max(find_lowest(below).max(initial=0.0), find_depth(bounds).max())
    if deepest + matrix.depth > _DEEPEST:
        return None
    factors = np.exp(below)
    with np.errstate(divide="ignore", invalid="ignore"):  # a sequence without a legal path is found below
        forward, onward = _run_forward(factors, steps, np.exp(start - start_top), matrix.factors)
        backward, back = _run_backward(factors, steps, np.exp(end - end_top), matrix.factors)
    if any(_find_least(each) < _LEAST for each in (forward, backward, onward, back)):
        return None
    onward, back = (steps.unpack(np.log(each) + matrix.shift) for each in (onward, back))
    top = steps.unpack(top)
    lengths = lengths[lengths > 0]
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    onward += top
    onward[first] += start_top - matrix.shift
    back[:-1] += top[1:]  # what stands after the last token of a sequence is replaced by its end
    back[last] = end_top
    with np.errstate(divide="ignore"):
        alpha = np.log(forward) + _accumulate(onward, lengths)[steps.order, None]
        beta = np.log(backward) + _accumulate(back[::-1], lengths[::-1])[::-1][steps.order, None]
    return Sums(alpha, beta)


def _run_forward(factors: Floats, steps: Steps, start: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Return the sums up to each token, `(T, L)`, each row divided by its own sum, and these, `(T,)`."""
    sums, scales = factors.copy(), np.empty((len(factors), 1))
    before = slice(0, 0)
    for rows in steps.slices():
        here = sums[rows]
        here *= matmul(sums[pick_first(before, rows)], matrix) if before.stop else start
        scale = np.add.reduce(here, axis=1, keepdims=True, out=scales[rows])
        here /= scale
        before = rows
    return sums, scales[:, 0]


def _run_backward(factors: Floats, steps: Steps, end: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Return the sums after each token, `(T, L)`, each row divided by its own sum, and these, `(T,)`."""
    matrix = np.ascontiguousarray(matrix.T)
    sums, scales = np.empty_like(factors), np.ones((len(factors), 1))
    after = slice(0, 0)
    for rows in reversed(list(steps.slices())):
        n_going = count_rows(after)
        sums[rows.start + n_going : rows.stop] = end
        if n_going:
            going = slice(rows.start, rows.start + n_going)
            here = matmul(factors[after] * sums[after], matrix)
            scale = np.add.reduce(here, axis=1, keepdims=True, out=scales[going])
            np.divide(here, scale, out=sums[going])
        after = rows
    return sums, scales[:, 0]


def _find_least(values: Floats) -> float:
    """Return the least number that is not zero; of sums of rows, zero itself."""
    is_sum = values.ndim == 1
    return float(values.min(initial=1.0) if is_sum else values.min(initial=1.0, where=values > 0))


def _accumulate(values: Floats, lengths: NDArray[np.integer]) -> Floats:
    """Add up within each sequence, `(T,)`; none is empty."""
    total = np.cumsum(values)
    first = np.cumsum(lengths) - lengths
    sums: Floats = total - np.repeat(total[first] - values[first], lengths)
    return sums
