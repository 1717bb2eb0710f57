"""A linear chain over tags and its best paths. Sequences of different lengths are walked through together.

One object serves every decoder. A conditional random field learns the scores of the chain; a constrained search has
scores of zero and minus infinity; and with zeros everywhere the loss of the chain is the cross-entropy of each token on
its own, the best path the tag-wise maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError
from spacy_bertft.tags.grammar import TagGrammar

Floats = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class LinearChain:
    """What a path of tags earns on top of the scores of its tokens; minus infinity forbids.

    Attributes:
        start: `(L,)` for starting with a tag.
        transitions: `(L, L)` for tag `j` after tag `i`, at `[i, j]`.
        end: `(L,)` for ending with a tag.
    """

    start: Floats
    transitions: Floats
    end: Floats

    def add(self, start: Floats, transitions: Floats, end: Floats) -> LinearChain:
        """Add to all scores; what is forbidden stays so."""
        return LinearChain(self.start + start, self.transitions + transitions, self.end + end)

    def scale_by_temperature(self, temperature: float) -> LinearChain:
        """Divide everything by a temperature above 0; what is forbidden stays so."""
        return LinearChain(self.start / temperature, self.transitions / temperature, self.end / temperature)


@dataclass(frozen=True)
class Steps:
    """A batch of flat sequences in time-major order, without padding.

    Step `t` holds token `t` of every sequence longer than `t`, longest sequence first, so the rows of a step are
    the first rows of the step before it. (The layout of torch's `PackedSequence`.)

    Attributes:
        order: `(T,)` flat token of each time-major row.
        slices: The time-major rows of each step, first to last.
    """

    order: NDArray[np.intp]
    slices: list[slice]

    def unpack(self, values: NDArray[Number]) -> NDArray[Number]:
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
    start, transitions, end = (
        np.where(allowed, 0.0, -np.inf) for allowed in (grammar.may_start, grammar.may_follow, grammar.may_end)
    )
    return LinearChain(start, transitions, end)


def build_free_chain(n_tags: int) -> LinearChain:
    """Build the chain of zeros: each token is tagged on its own."""
    return LinearChain(np.zeros(n_tags), np.zeros((n_tags, n_tags)), np.zeros(n_tags))


def best_paths(scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain) -> NDArray[np.intp]:
    """Find the best path of every sequence of a batch.

    The best tag of each token on its own may spell `O I-PER`, which names no entity; the chain of a grammar forbids it.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Returns:
        `(T,)` tags. Among equals the tag with the lowest index wins.

    Raises:
        ShapeError: The arrays do not fit each other.

    Source: Viterbi (1967); constraints as in Lample et al. (2016), eq. 2.
    """
    scores, steps = order_by_step(scores, lengths, chain)
    best = scores.copy()
    transitions = chain.transitions[:, None, :]
    sums = np.empty((len(chain.start), len(lengths), len(chain.start)))
    before = slice(0, 0)
    for rows in steps.slices:
        if not before.stop:
            best[rows] += chain.start
        else:
            n_rows = rows.stop - rows.start
            going = best[before.start : before.start + n_rows]  # of the sequences that are not over
            # Tags of the token before go first: the maximum then runs over whole blocks of memory.
            np.add(going.T[:, :, None], transitions, out=sums[:, :n_rows])
            best[rows] += sums[:, :n_rows].max(axis=0)
        before = rows
    path, after = np.empty(len(scores), dtype=np.intp), slice(0, 0)
    for rows in reversed(steps.slices):
        first_ending = rows.start + after.stop - after.start
        going, ending = slice(rows.start, first_ending), slice(first_ending, rows.stop)
        path[ending] = (best[ending] + chain.end).argmax(axis=1)
        path[going] = (best[going] + chain.transitions.T[path[after]]).argmax(axis=1)
        after = rows
    return steps.unpack(path)


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
