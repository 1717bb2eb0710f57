"""Spans of whole batches of tag paths, found and scored without a loop over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .chain import LinearChain, log_sum, run_forward_backward
from .grammar import TagGrammar


@dataclass(frozen=True)
class SpanBatch:
    """The spans of a batch of sequences, in order.

    Attributes:
        sequence: `(S,)` which sequence a span stands in.
        token_start: `(S,)` first token, counted in its sequence.
        token_end: `(S,)` one past the last token, counted in its sequence.
        tag: `(S,)` tag of the first token; it names the label.
        probs: `(S,)` probability of the whole span, between 0 and 1.
    """

    sequence: NDArray[np.intp]
    token_start: NDArray[np.intp]
    token_end: NDArray[np.intp]
    tag: NDArray[np.intp]
    probs: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sequence)


def find_spans(
    path: NDArray[np.intp],
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
) -> SpanBatch:
    """Find the spans that a batch of paths spells, each with its probability.

    A tag that continues nothing opens a span, whatever its prefix, so that no path loses one.

    Args:
        path: `(T,)` tags of all tokens, sequence after sequence.
        scores: `(T, L)` tag scores of all tokens.
        lengths: `(B,)` tokens per sequence.
        grammar: What continues what.
        chain: The chain over which probabilities are summed.
    """
    n_tokens = len(path)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    opens_sequence = np.zeros(n_tokens + 1, dtype=np.bool_)
    opens_sequence[bounds] = True
    in_span = np.array([label != "" for label in grammar.labels], dtype=np.bool_)[path]
    goes_on = np.zeros(n_tokens + 1, dtype=np.bool_)
    goes_on[1:n_tokens] = grammar.continues[path[:-1], path[1:]]
    goes_on &= ~opens_sequence
    start = np.flatnonzero(in_span & ~goes_on[:-1])
    end = np.flatnonzero(in_span & ~goes_on[1:]) + 1
    sequence = np.searchsorted(bounds, start, side="right") - 1
    return SpanBatch(
        sequence=sequence,
        token_start=start - bounds[sequence],
        token_end=end - bounds[sequence],
        tag=path[start],
        probs=_span_probs(path, scores, lengths, grammar, chain, start, end),
    )


def _span_probs(
    path: NDArray[np.intp],
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
    start: NDArray[np.intp],
    end: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Sum the probability of all paths that hold each span, from `start` to `end` and not beyond.

    The sum is `alpha` at the first token, the path's own scores inside, and `beta` after it over every tag that does
    not continue the span.
    """
    if not len(start):
        return np.zeros(0)
    sums = run_forward_backward(scores, lengths, chain)
    last = end - 1
    gains = scores[np.arange(len(path)), path].astype(np.float64)
    steps = chain.transitions[path[:-1], path[1:]]
    # A step between two sequences, or one that the chain forbids, lies inside no span.
    gains[1:] += np.where(np.isfinite(steps), steps, 0.0)
    sums_of_gains = np.cumsum(gains)
    inside = sums_of_gains[last] - sums_of_gains[start]
    ends_sequence = np.zeros(len(path), dtype=np.bool_)
    ends_sequence[(np.cumsum(lengths) - 1)[lengths > 0]] = True
    after = chain.end[path[last]].copy()
    goes_on = ~ends_sequence[last]
    following = end[goes_on]
    leaving = np.where(grammar.continues[path[last[goes_on]]], -np.inf, chain.transitions[path[last[goes_on]]])
    after[goes_on] = log_sum(leaving + scores[following] + sums.beta[following])
    log_partition = np.repeat(sums.log_partition, lengths)[start]
    log_probs = np.minimum(sums.alpha[start, path[start]] + inside + after - log_partition, 0.0)
    probs: NDArray[np.float64] = np.exp(log_probs)
    return probs
