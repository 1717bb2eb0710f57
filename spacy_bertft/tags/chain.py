"""A linear chain over tags: its best path, its probabilities, its loss.

One object serves every decoder. A conditional random field learns the scores of the chain; a constrained search has
scores of zero and minus infinity; and with zeros everywhere the loss of the chain is the cross-entropy of each token on
its own, the best path the tag-wise maximum.

Sources: Viterbi (1967); Lafferty, McCallum & Pereira (2001); forward-backward as in Rabiner (1989), in log
space where his scales do not reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError, TagError
from spacy_bertft.tags.grammar import TagGrammar
from spacy_bertft.tags.log_space import (
    LogMatrix,
    build_log_matrix,
    find_deep_rows,
    find_depth,
    finite_max,
    log_matmul,
    log_sum,
    matmul,
)
from spacy_bertft.tags.scaled import Sums, sum_scaled
from spacy_bertft.tags.steps import Steps, build_steps, count_rows, pick_first

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearChain:
    """What a path of tags earns beside the scores of its tokens; minus infinity forbids.

    Attributes:
        start: `(L,)` for opening with a tag.
        transitions: `(L, L)` for tag `j` after tag `i`, at `[i, j]`.
        end: `(L,)` for closing with a tag.
    """

    start: Floats
    transitions: Floats
    end: Floats

    def cool(self, temperature: float) -> LinearChain:
        """Divide everything by a temperature above 0; what is forbidden stays so."""
        return LinearChain(self.start / temperature, self.transitions / temperature, self.end / temperature)


@dataclass(frozen=True)
class ChainGradient:
    """Gradient of a loss with respect to the token scores and the chain.

    Attributes:
        scores: `(T, L)`.
        start: `(L,)`.
        transitions: `(L, L)`.
        end: `(L,)`.
    """

    scores: Floats
    start: Floats
    transitions: Floats
    end: Floats


@dataclass(frozen=True)
class ForwardBackward:
    """Log sums over all legal paths.

    Attributes:
        alpha: `(T, L)` over the paths up to and with this token that give it this tag.
        beta: `(T, L)` over the paths after this token, given this tag.
        log_partition: `(B,)` over all paths of each sequence.
    """

    alpha: Floats
    beta: Floats
    log_partition: Floats


def build_chain(grammar: TagGrammar) -> LinearChain:
    """Build the chain that allows what the grammar allows and prefers nothing."""
    return LinearChain(
        start=_forbid(grammar.may_start),
        transitions=_forbid(grammar.may_follow),
        end=_forbid(grammar.may_end),
    )


def build_free_chain(n_tags: int) -> LinearChain:
    """Build the chain of zeros: tokens know nothing of their neighbours."""
    return LinearChain(np.zeros(n_tags), np.zeros((n_tags, n_tags)), np.zeros(n_tags))


def best_legal_path(scores: NDArray[np.floating], grammar: TagGrammar) -> NDArray[np.intp]:
    """Pick the highest-scoring tag sequence that the grammar allows.

    The best tag of each token on its own may spell `O I-PER`, which names no entity.

    Args:
        scores: `(T, L)` tag scores of one sentence, larger is better. Columns follow `grammar.tags`.
        grammar: Which tag may open a sentence, and which may follow which.

    Returns:
        `(T,)` columns of `scores`, one per token; empty when `T` is 0.

    Raises:
        ShapeError: `scores` does not have one column per tag.

    Source: Viterbi (1967); constraints as in Lample et al. (2016), eq. 2.
    """
    return best_paths(scores, np.array([len(scores)]), build_chain(grammar))


def best_paths(scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain) -> NDArray[np.intp]:
    """Find the best path of every sequence of a batch.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Returns:
        `(T,)` tags. Among equals the tag with the lowest index wins.

    Raises:
        ShapeError: The arrays do not fit each other.
    """
    scores, steps = _prepare(scores, lengths, chain)
    best = np.empty_like(scores)
    slices = list(steps.slices())
    transitions = chain.transitions[:, None, :]
    sums = np.empty((len(chain.start), count_rows(slices[0]) if slices else 0, len(chain.start)))
    for t, rows in enumerate(slices):
        best[rows] = scores[rows]
        if t == 0:
            best[rows] += chain.start
        else:
            before = best[pick_first(slices[t - 1], rows)]
            # Tags of the token before go first: the maximum then runs over whole blocks of memory.
            np.add(before.T[:, :, None], transitions, out=sums[:, : count_rows(rows)])
            best[rows] += sums[:, : count_rows(rows)].max(axis=0)
    path = np.empty(len(scores), dtype=np.intp)
    for t in range(len(slices) - 1, -1, -1):
        rows = slices[t]
        n_next = count_rows(slices[t + 1]) if t + 1 < len(slices) else 0
        ending = slice(rows.start + n_next, rows.stop)
        path[ending] = (best[ending] + chain.end).argmax(axis=1)
        if n_next:
            following = path[slices[t + 1]]
            going = slice(rows.start, rows.start + n_next)
            path[going] = (best[going] + chain.transitions.T[following]).argmax(axis=1)
    return steps.unpack(path)


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
    scores, steps = _prepare(scores, lengths, chain)
    onward = build_log_matrix(chain.transitions)
    sums = sum_scaled(scores, lengths, steps, chain.start, onward, chain.end)
    if sums is None:
        sums = _sum_logs(scores, steps, chain, onward)
    alpha, beta = steps.unpack(sums.alpha), steps.unpack(sums.beta)
    filled = lengths > 0
    log_partition = np.zeros(len(lengths))
    log_partition[filled] = log_sum(alpha[np.cumsum(lengths)[filled] - 1] + chain.end)
    return ForwardBackward(alpha, beta, log_partition)


def _sum_logs(scores: Floats, steps: Steps, chain: LinearChain, onward: LogMatrix) -> Sums:
    """Sum over all paths, in time-major order, whatever lies between the numbers."""
    alpha, beta = np.empty_like(scores), np.empty_like(scores)
    slices = list(steps.slices())
    backward = build_log_matrix(chain.transitions.T)
    for t, rows in enumerate(slices):
        alpha[rows] = scores[rows]
        if t == 0:
            alpha[rows] += chain.start
        else:
            alpha[rows] += log_matmul(alpha[pick_first(slices[t - 1], rows)], onward)
    for t in range(len(slices) - 1, -1, -1):
        rows = slices[t]
        n_next = count_rows(slices[t + 1]) if t + 1 < len(slices) else 0
        beta[rows.start + n_next : rows.stop] = chain.end
        if n_next:
            following = scores[slices[t + 1]] + beta[slices[t + 1]]
            beta[rows.start : rows.start + n_next] = log_matmul(following, backward)
    return Sums(alpha, beta)


def chain_loss(
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    chain: LinearChain,
    allowed: NDArray[np.bool_],
) -> tuple[float, ChainGradient]:
    """Compute the negative log-likelihood of the gold tags, and its gradient.

    A token whose gold tag is unknown allows all its tags: the loss sums over them. With one tag allowed per token this
    is the likelihood of a conditional random field.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.
        allowed: `(T, L)` the tags that the gold annotation allows each token.

    Returns:
        The loss summed over all sequences, in nats, and its gradient.

    Raises:
        ShapeError: The arrays do not fit each other.
        TagError: The gold tags of a sequence allow no path that the chain allows.

    Source: Lafferty, McCallum & Pereira (2001); with partial annotation, Tsuboi et al. (2008), eq. 2.
    """
    if allowed.shape != scores.shape:
        raise ShapeError("allowed", allowed.shape, f"{scores.shape}, as scores")
    everything = np.asarray(scores, dtype=np.float64)
    gold = np.where(allowed, everything, -np.inf)
    of_all = run_forward_backward(everything, lengths, chain)
    of_gold = run_forward_backward(gold, lengths, chain)
    illegal = np.flatnonzero(np.isneginf(of_gold.log_partition))
    if len(illegal):
        raise TagError(int(illegal[0]), "?", "the gold tags of this sequence are not legal", "a legal sequence")
    loss = float((of_all.log_partition - of_gold.log_partition).sum())
    from_all = _expected_counts(everything, lengths, chain, of_all)
    from_gold = _expected_counts(gold, lengths, chain, of_gold)
    return loss, ChainGradient(
        scores=from_all.scores - from_gold.scores,
        start=from_all.start - from_gold.start,
        transitions=from_all.transitions - from_gold.transitions,
        end=from_all.end - from_gold.end,
    )


def tag_probs(scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain) -> NDArray[np.float64]:
    """Compute the probability of every tag of every token, over all legal paths.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Returns:
        `(T, L)`, rows sum to one.
    """
    return _marginals(run_forward_backward(scores, lengths, chain), lengths)


def _expected_counts(
    scores: Floats, lengths: NDArray[np.integer], chain: LinearChain, sums: ForwardBackward
) -> ChainGradient:
    """Count, in expectation over all paths, each tag at each token, each start, step and end."""
    probs = _marginals(sums, lengths)
    ends = np.cumsum(lengths)
    filled = lengths > 0
    first, last = (ends - lengths)[filled], ends[filled] - 1
    is_left = np.ones(len(scores), dtype=np.bool_)
    is_left[last] = False
    left = np.flatnonzero(is_left)
    log_partition = np.repeat(sums.log_partition, lengths)[left]
    return ChainGradient(
        scores=probs,
        start=probs[first].sum(axis=0),
        transitions=_expected_steps(sums.alpha[left], scores[left + 1] + sums.beta[left + 1], log_partition, chain),
        end=probs[last].sum(axis=0),
    )


def _expected_steps(before: Floats, after: Floats, log_partition: Floats, chain: LinearChain) -> Floats:
    """Count, in expectation, how often each tag follows each, `(L, L)`.

    Args:
        before: `(n, L)` log sums up to the left token of each step.
        after: `(n, L)` log sums from its right token on.
        log_partition: `(n,)` of its sequence.
        chain: The scores of the chain.
    """
    matrix = build_log_matrix(chain.transitions)
    deep = find_deep_rows(find_depth(before) + find_depth(after) + matrix.depth)
    # The probability of a step, all factors taken one by one; for the other rows a matrix product does the same.
    logs = before[deep][:, :, None] + matrix.logs + (after[deep] - log_partition[deep, None])[:, None, :]
    steps: Floats = np.exp(logs).sum(axis=0)
    before, after = _exp_rows(np.delete(before, deep, axis=0)), _exp_rows(np.delete(after, deep, axis=0))
    totals = (matmul(before, matrix.factors) * after).sum(axis=1, keepdims=True)
    steps += matrix.factors * matmul((before / totals).T, after)
    return steps


def _marginals(sums: ForwardBackward, lengths: NDArray[np.integer]) -> Floats:
    return np.exp(sums.alpha + sums.beta - np.repeat(sums.log_partition, lengths)[:, None])


def _prepare(scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain) -> tuple[Floats, Steps]:
    """Check the shapes and put the scores into time-major order."""
    n_tags = len(chain.start)
    n_tokens = int(lengths.sum())
    if scores.shape != (n_tokens, n_tags):
        raise ShapeError("scores", scores.shape, f"({n_tokens}, {n_tags}): a row per token, a column per tag")
    steps = build_steps(lengths.astype(np.intp))
    return np.asarray(scores, dtype=np.float64)[steps.order], steps


def _forbid(allowed: NDArray[np.bool_]) -> Floats:
    return np.where(allowed, 0.0, -np.inf)


def _exp_rows(values: Floats) -> Floats:
    return np.exp(values - finite_max(values))
