"""Every span that has at least some probability, whether or not the best path holds it, and the probability of any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.forward_backward import Floats, LinearChain, log_matmul, matmul, run_forward_backward
from spacy_bertft.tags.grammar import TagGrammar
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.tags.spans import SpanBatch, span_probs, sum_outside


def find_candidates(
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
    threshold: float,
) -> SpanBatch:
    """Find all spans whose probability is at least a threshold; they may overlap.

    From every token a span with each label is extended, all of them by one token at a time. The probability that it
    reaches a token, there or further on, never rises on the way: it is dropped once that is below the threshold.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        grammar: What continues what.
        chain: The chain over which probabilities are summed.
        threshold: Above 0. The number of candidates has no other limit.

    Returns:
        The spans by their first token, then by their last one. `tag` is the first one of the label.
    """
    own: Floats = np.asarray(scores, dtype=np.float64)
    sums = run_forward_backward(scores, lengths, chain)
    labels = np.array(sorted({*grammar.labels} - {""}))  # (K,)
    is_of = np.array(grammar.labels)[:, None] == labels  # (L, K)
    columns = is_of.astype(np.float64)
    start = token = np.arange(len(scores))
    entering, leaving = sum_outside(sums, scores, lengths, grammar, chain, start, start + 1)
    log_partition = np.repeat(sums.log_partition, lengths)[:, None]
    ending, reaching = leaving - log_partition, sums.beta - log_partition  # (T, L)
    inside = np.where(grammar.continues, chain.transitions, -np.inf)
    is_last = np.isin(token + 1, np.cumsum(lengths))
    logs = own + np.where(is_of.any(axis=1), entering, -np.inf)  # (n, L), of the spans that are not dropped
    found = [(token[:0], token[:0], token[:0], np.zeros(0))]
    while len(token):
        probs = matmul(np.exp(logs + ending[token]), columns)  # (n, K)
        row, label = np.nonzero(probs >= threshold)
        found.append((start[row], token[row] + 1, label, probs[row, label]))
        reach = matmul(np.exp(logs + reaching[token]), columns)
        goes_on = (reach >= threshold).any(axis=1) & ~is_last[token]
        start, token = start[goes_on], token[goes_on] + 1
        logs = log_matmul(logs[goes_on], inside) + own[token]
    starts, ends, label, found_probs = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((label, ends, starts))
    starts, ends, label = starts[order], ends[order], label[order]
    bounds = np.cumsum(lengths)
    sequence = np.searchsorted(bounds, starts, side="right")
    first = (bounds - lengths)[sequence]
    tag = is_of.argmax(axis=0)[label]
    return SpanBatch(sequence, starts - first, ends - first, tag, np.minimum(found_probs[order], 1.0))


def compute_span_probs(
    spans: Sequence[TagSpan],
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    grammar: TagGrammar,
    chain: LinearChain,
) -> Floats:
    """Compute the probability of given spans, `(S,)`: 0 for one without tokens, or that ends in another sequence.

    Args:
        spans: With labels of the grammar, in tokens counted through the whole batch.
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        grammar: What continues what.
        chain: The chain over which probabilities are summed.
    """
    start, end = np.array([span[:2] for span in spans], dtype=np.intp).reshape(-1, 2).T
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    whole = np.flatnonzero(start < end)
    whole = whole[sequence[start[whole]] == sequence[end[whole] - 1]]
    tag = np.array([grammar.labels.index(spans[index].label) for index in whole], dtype=np.intp)
    probs = np.zeros(len(spans))
    probs[whole] = span_probs(tag, scores, lengths, grammar, chain, start[whole], end[whole])
    return probs
