"""The spans that paths spell, and the probability of spans: of their label and both their bounds, over all paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.forward_backward import (
    Floats,
    ForwardBackward,
    LinearChain,
    log_matmul,
    run_forward_backward,
)
from spacy_bertft.tags.grammar import TagGrammar


@dataclass(frozen=True)
class SpanBatch:
    """The spans of a batch of sequences, in order.

    Attributes:
        sequence: `(S,)` the sequence of each span.
        token_start: `(S,)` first token, counted in its sequence.
        token_end: `(S,)` one past the last token, counted in its sequence.
        tag: `(S,)` tag of the first token; it names the label.
        probs: `(S,)` probability of the whole span, between 0 and 1: of its label and of both its bounds.
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
    in_span = (np.array(grammar.labels) != "")[path]
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
        probs=span_probs(path[start], scores, lengths, grammar, chain, start, end),
    )


def span_probs(
    tag: NDArray[np.intp],
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
    start: NDArray[np.intp],
    end: NDArray[np.intp],
) -> Floats:
    """Sum the probability of all paths that hold each span, from `start` to `end` and not beyond.

    Each span is a short sequence with a chain of its own: its first token comes from the start of the text or from a
    tag that it does not continue, its last token goes to the end or to a tag that does not continue it, and in
    between every tag continues the one before. A span may be spelled in several ways (IOB1); the sum is over all.

    Args:
        tag: `(S,)` a tag of the label of each span.
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        grammar: What continues what.
        chain: The chain over which probabilities are summed.
        start: `(S,)` first token of each span, counted through the whole batch.
        end: `(S,)` one past its last token, in the same sequence.
    """
    if not len(start):
        return np.zeros(0)
    sums = run_forward_backward(scores, lengths, chain)
    inside = np.where(grammar.continues, chain.transitions, -np.inf)
    entering, leaving = sum_outside(sums, scores, lengths, grammar, chain, start, end)
    n_tokens = end - start
    last = np.cumsum(n_tokens) - 1
    first = last - n_tokens + 1
    own = scores[np.repeat(start - first, n_tokens) + np.arange(last[-1] + 1)].astype(np.float64)
    labels = np.unique(grammar.labels, return_inverse=True)[1]
    own[first] += np.where(labels == labels[tag][:, None], entering, -np.inf)
    own[last] += leaving
    nothing = np.zeros(len(grammar.tags))
    log_sums = run_forward_backward(own, n_tokens, LinearChain(nothing, inside, nothing)).log_partition
    probs: Floats = np.exp(np.minimum(log_sums - np.repeat(sums.log_partition, lengths)[start], 0.0))
    return probs


def sum_outside(
    sums: ForwardBackward,
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
    start: NDArray[np.intp],
    end: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    """Sum over all paths before the first tag of spans, and after their last one, in logarithms, `(S, L)` each.

    The first tag continues none before it, and none after continues the last one. The arguments are those of
    `span_probs`, and `sums` over all paths.
    """
    across = np.where(grammar.continues, -np.inf, chain.transitions)
    ends = np.cumsum(lengths)
    opens, closes = np.isin(start, ends - lengths), np.isin(end, ends)
    entering, leaving = np.empty((2, len(start), len(grammar.tags)))
    entering[opens], leaving[closes] = chain.start, chain.end
    before, after = start[~opens] - 1, end[~closes]
    entering[~opens] = log_matmul(sums.alpha[before], across)
    leaving[~closes] = log_matmul(scores[after] + sums.beta[after], across.T)
    return entering, leaving
