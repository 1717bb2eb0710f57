"""A linear chain over tags, and sums over all its paths: for the loss, marginals and the probabilities of spans.

One chain serves every decoder: the scores of a conditional random field are learned, those of a constrained search are
zero and minus infinity; with zeros everywhere each token is on its own. All sequences take a step together.

Each step is a matrix product of numbers that are divided by their sum (Rabiner 1989, section V.A). On one document of
2,000 words with 25 tags that takes a third of the time of the same sums in log space; on queries both are as fast.
Where numbers lie too far apart for a float, however, a product is lost, and with it a path that later tokens may leave
as the only one: these rare batches are summed in log space, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError
from spacy_bertft.tags.grammar import TagGrammar

Floats = NDArray[np.float64]

# `exp(-708)` is the smallest normal float. Rows of products that could come near it are summed in log space.
DEEPEST_PRODUCT = 600.0
# Over many steps no product is lost while factors are above `exp(-100)` and sums above this.
_DEEPEST_FACTOR = 100.0
_LEAST_SUM = 1e-200
_MOST_PRODUCTS = 65_536  # OpenBLAS takes a second thread from 262,144 products on


class LinearChain(NamedTuple):
    """What a path of tags earns on top of the scores of its tokens; minus infinity forbids.

    Attributes:
        start: `(L,)` for starting with a tag.
        transitions: `(L, L)` for tag `j` after tag `i`, at `[i, j]`.
        end: `(L,)` for ending with a tag.
    """

    start: Floats
    transitions: Floats
    end: Floats

    def scale_by_temperature(self, temperature: float) -> LinearChain:
        """Divide everything by a temperature above 0; what is forbidden stays so."""
        return LinearChain(*(each / temperature for each in self))

    def reorder(self, tags: Sequence[int]) -> LinearChain:
        """Put the tags in another order: at each place, which of them it is."""
        return LinearChain(self.start[tags], self.transitions[np.ix_(tags, tags)], self.end[tags])


class Steps(NamedTuple):
    """A batch of flat sequences in time-major order, without padding.

    Step `t` holds token `t` of every sequence longer than `t`, longest sequence first, so the rows of a step are
    the first rows of the step before it. (The layout of torch's `PackedSequence`.)

    Attributes:
        order: `(T,)` flat token of each time-major row.
        slices: The time-major rows of each step, first to last.
    """

    order: NDArray[np.intp]
    slices: list[slice]

    def unpack(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put time-major rows back in the order of the flat sequences, `(T, …)`."""
        flat = np.empty_like(values)
        flat[self.order] = values
        return flat


def build_steps(lengths: NDArray[np.intp]) -> Steps:
    """Lay out flat sequences step by step.

    Args:
        lengths: `(B,)` tokens per sequence; the sequences come one after the other.

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
    ends = np.cumsum(np.bincount(step)).tolist() if len(step) else []
    return Steps(order, [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)])


def build_chain(grammar: TagGrammar) -> LinearChain:
    """Build the chain that allows what the grammar allows and prefers nothing."""
    allowed = (grammar.may_start, grammar.may_follow, grammar.may_end)
    return LinearChain(*(np.where(each, 0.0, -np.inf) for each in allowed))


def build_free_chain(n_tags: int) -> LinearChain:
    """Build the chain of zeros: each token is tagged on its own."""
    return LinearChain(np.zeros(n_tags), np.zeros((n_tags, n_tags)), np.zeros(n_tags))


def order_by_step(
    scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain
) -> tuple[Floats, Steps]:
    """Put scores into time-major order, `(T, L)`.

    Raises:
        ShapeError: The arrays do not fit each other.
    """
    n_tags, n_tokens = len(chain.start), int(lengths.sum())
    if scores.shape != (n_tokens, n_tags):
        raise ShapeError("scores", scores.shape, f"({n_tokens}, {n_tags}): a row per token, a column per tag")
    steps = build_steps(lengths.astype(np.intp))
    return np.asarray(scores, dtype=np.float64)[steps.order], steps


class ForwardBackward(NamedTuple):
    """Log sums over all valid paths.

    Attributes:
        alpha: `(T, L)` over the paths up to and with this token that give it this tag.
        beta: `(T, L)` over the paths after this token, given this tag.
        log_partition: `(B,)` over all paths of each sequence.
    """

    alpha: Floats
    beta: Floats
    log_partition: Floats


def run_forward_backward(
    scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain
) -> ForwardBackward:
    """Sum over all paths of every sequence, from both sides.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence; minus infinity forbids a tag.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Raises:
        ShapeError: The arrays do not fit each other.
    """
    scores, steps = order_by_step(scores, lengths, chain)
    alpha, beta = _sum_scaled(scores, lengths, steps, chain) or _sum_logs(scores, steps, chain)
    alpha, beta = steps.unpack(alpha), steps.unpack(beta)
    filled = lengths > 0
    log_partition = np.zeros(len(lengths))
    log_partition[filled] = log_sum(alpha[np.cumsum(lengths)[filled] - 1] + chain.end)
    return ForwardBackward(alpha, beta, log_partition)


def _sum_logs(scores: Floats, steps: Steps, chain: LinearChain) -> tuple[Floats, Floats]:
    """Sum over all paths in time-major order, `(T, L)` from each side, however far apart the numbers lie."""
    alpha, beta, before = scores.copy(), np.empty_like(scores), slice(0, 0)
    for rows in steps.slices:
        n_rows = rows.stop - rows.start  # as many of the rows before go on
        alpha[rows] += log_matmul(alpha[before][:n_rows], chain.transitions) if before.stop else chain.start
        before = rows
    after = slice(0, 0)
    for rows in reversed(steps.slices):
        beta[rows] = chain.end
        if after.stop:
            beta[rows][: after.stop - after.start] = log_matmul(scores[after] + beta[after], chain.transitions.T)
        after = rows
    return alpha, beta


def _sum_scaled(
    scores: Floats, lengths: NDArray[np.integer], steps: Steps, chain: LinearChain
) -> tuple[Floats, Floats] | None:
    """Sum over all paths in time-major order, `(T, L)` from each side.

    Returns:
        The sums; None where numbers lie so far apart that some could be lost, or where a sequence has no valid path.
    """
    matrix, shift, depth = compute_factors(chain.transitions)
    bounds = np.stack([chain.start, chain.end])  # (2, L)
    top, bounds_top = finite_max(scores), finite_max(bounds)
    if max(find_depth(scores).max(initial=0.0), find_depth(bounds).max()) + depth > _DEEPEST_FACTOR:
        return None
    lengths = lengths[lengths > 0]
    ends = np.cumsum(lengths)
    # Read backwards, a sequence has the same steps: at each row the row of the token that is as far from the end.
    mirror = steps.unpack(np.arange(len(scores)))[np.repeat(2 * ends - lengths - 1, lengths)[steps.order] - steps.order]
    factors = np.exp(scores - top)
    both, matrices = np.stack([factors, factors[mirror]]), np.stack([matrix, matrix.T])
    products = _multiply(both, steps, np.exp(bounds - bounds_top), matrices)
    if products is None:
        return None
    before, scales = products
    earned = np.empty(scales.shape)  # (2, T) logarithm of what each row was divided by, and of what its factors were
    earned[:, steps.order] = np.log(scales) + np.stack([top, top[mirror]])[:, :, 0] + shift
    total = np.cumsum(earned, axis=1) - earned  # of the rows before it
    total -= np.repeat(total[:, ends - lengths], lengths, axis=1)
    with np.errstate(divide="ignore"):
        logs = np.log(before) + (total[:, steps.order] + bounds_top)[:, :, None]
    return scores + logs[0], logs[1][mirror]


def _multiply(factors: Floats, steps: Steps, bounds: Floats, matrices: Floats) -> tuple[Floats, Floats] | None:
    """Multiply along all sequences from both sides at once.

    Args:
        factors: `(2, T, L)` factors of the tags of each row, from the start of the text and from its end; overwritten.
        steps: The rows of each step.
        bounds: `(2, L)` factors of the first tag, and of the last.
        matrices: `(2, L, L)` factors from a tag to the next, and to the one before.

    Returns:
        `(2, T, L)` the sums up to each row, without its own factors, where the row before it is divided by its sum, and
        `(2, T)` these sums; None where a product could be lost, or a sequence has no valid path.
    """
    before, scales = np.empty_like(factors), np.empty((*factors.shape[:2], 1))
    last = slice(0, 0)
    with np.errstate(invalid="ignore"):  # a sequence without a valid path is found below
        for rows in steps.slices:
            here = factors[:, rows]
            ahead = matmul(factors[:, last][:, : here.shape[1]], matrices) if last.stop else bounds[:, None]
            before[:, rows] = ahead
            here *= ahead
            here /= np.add.reduce(here, axis=2, keepdims=True, out=scales[:, rows])
            last = rows
    if not (scales >= _LEAST_SUM).all() or factors.min(initial=1.0, where=factors > 0) < _LEAST_SUM:
        return None
    return before, scales[:, :, 0]


def compute_factors(logs: Floats) -> tuple[Floats, float, float]:
    """Take the numbers whose logarithms a matrix has, `(L, L)`, divided by the largest.

    Returns:
        They, the logarithm of the largest, and how far that of the smallest lies below it, zeros left out.
    """
    flat = logs.reshape(1, -1)
    shift = finite_max(flat).item()
    return np.exp(logs - shift), shift, find_depth(flat).item()


def log_matmul(values: Floats, matrix: Floats) -> Floats:
    """Multiply matrices of which the logarithms are given, `(n, L)` by `(L, L)`, and take the logarithm.

    Source: the log-sum-exp trick with one maximum per row, so that a matrix product does the work. Where numbers lie
    too far apart for that, with one maximum per sum.
    """
    factors, shift, depth = compute_factors(matrix)
    top = finite_max(values)
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(matmul(np.exp(values - top), factors)) + (top + shift)
    deep = find_depth(values) + depth > DEEPEST_PRODUCT
    if deep.any():
        pairs = values[deep][:, None, :] + matrix.T  # (n, L, L)
        logs[deep] = log_sum(pairs.reshape(-1, len(matrix))).reshape(-1, len(matrix))
    return logs


def matmul(left: Floats, right: Floats) -> Floats:
    """Multiply matrices, `(…, n, k)` by `(…, k, m)`, in parts so small that numpy's BLAS takes one thread for each.

    Its other threads would go on spinning for tens of milliseconds after a product, on the cores that torch needs
    next; that made a forward pass after it two to three times as slow.
    """
    n_rows = _MOST_PRODUCTS // max(1, right.shape[-2] * right.shape[-1])
    if n_rows == 0:
        product: Floats = np.einsum("...ij,...jk->...ik", left, right)
        return product
    if left.shape[-2] <= n_rows:
        return left @ right
    parts = [left[..., first : first + n_rows, :] @ right for first in range(0, left.shape[-2], n_rows)]
    return np.concatenate(parts, axis=-2)


def log_sum(values: Floats) -> Floats:
    """Return the logarithm of the sum of exponentials of each row, `(n,)`."""
    top = finite_max(values)
    with np.errstate(divide="ignore"):
        sums: Floats = np.log(np.exp(values - top).sum(axis=1)) + top[:, 0]
    return sums


def finite_max(values: Floats) -> Floats:
    """Return the maximum of each row, `(n, 1)`; zero where a row holds minus infinity only."""
    top = values.max(axis=1, keepdims=True)
    return np.where(np.isfinite(top), top, 0.0)


def find_depth(values: Floats) -> Floats:
    """Return how far the lowest of each row lies below the highest, minus infinity left out, `(n,)`."""
    below = finite_max(values) - values
    depth: Floats = np.where(np.isfinite(below), below, 0.0).max(axis=1)
    return depth
