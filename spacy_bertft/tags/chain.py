"""What a linear chain says of tags: the best paths, the probabilities of paths, and the likelihood of gold tags.

No loop over tokens: all sequences take a step at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError, TagError
from spacy_bertft.tags.forward_backward import (
    DEEPEST_PRODUCT,
    Floats,
    ForwardBackward,
    LinearChain,
    compute_factors,
    find_depth,
    finite_max,
    matmul,
    order_by_step,
    run_forward_backward,
)


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


def chain_loss(
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    chain: LinearChain,
    allowed: NDArray[np.bool_],
) -> tuple[float, Floats, LinearChain]:
    """Compute the negative log-likelihood of the gold tags, and its gradient.

    A token whose gold tag is unknown allows all its tags: the loss sums over them. With one tag allowed per token this
    is the likelihood of a conditional random field.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.
        allowed: `(T, L)` the tags that the gold annotation allows each token.

    Returns:
        The loss summed over all sequences, in nats, and its gradients with respect to the scores, `(T, L)`, and to the
        chain.

    Raises:
        ShapeError: The arrays do not fit each other.
        TagError: The gold tags of a sequence allow no path that the chain allows.

    Source: Lafferty, McCallum & Pereira (2001); with partial annotation, Tsuboi et al. (2008), eq. 2.
    """
    if allowed.shape != scores.shape:
        raise ShapeError("allowed", allowed.shape, f"{scores.shape}, as scores")
    everything = np.asarray(scores, dtype=np.float64)
    allowed_scores = np.where(allowed, everything, -np.inf)
    of_all, of_gold = (run_forward_backward(each, lengths, chain) for each in (everything, allowed_scores))
    invalid = np.flatnonzero(np.isneginf(of_gold.log_partition))
    if len(invalid):
        raise TagError(int(invalid[0]), "?", "the gold tags of this sequence are not valid", "a valid sequence")
    loss = float((of_all.log_partition - of_gold.log_partition).sum())
    tags, steps = count_expected(everything, of_all, lengths, chain)
    gold_tags, gold_steps = count_expected(allowed_scores, of_gold, lengths, chain)
    gradient = LinearChain(*(each - gold for each, gold in zip(steps, gold_steps, strict=True)))
    return loss, tags - gold_tags, gradient


def tag_probs(sums: ForwardBackward, lengths: NDArray[np.integer]) -> Floats:
    """Compute the probability of every tag of every token, over all valid paths: `(T, L)`, rows sum to one."""
    return np.exp(sums.alpha + sums.beta - np.repeat(sums.log_partition, lengths)[:, None])


def path_log_probs(
    path: NDArray[np.integer], scores: NDArray[np.floating], lengths: NDArray[np.integer], chain: LinearChain
) -> Floats:
    """Compute the log-probability of one path of every sequence of a batch.

    Args:
        path: `(T,)` the tag of each token, sequence after sequence, as `best_paths` gives it.
        scores: `(T, L)` tag scores of all tokens.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.

    Returns:
        `(B,)` in nats, at most 0; minus infinity for a path that the chain forbids, 0 for an empty sequence.

    Raises:
        ShapeError: The arrays do not fit each other.

    Source: Lafferty, McCallum & Pereira (2001), eq. 1.

    Example:
        >>> chain = LinearChain(np.zeros(2), np.zeros((2, 2)), np.zeros(2))
        >>> np.exp(path_log_probs(np.array([0, 1, 1]), np.zeros((3, 2)), np.array([2, 1]), chain)).round(3).tolist()
        [0.25, 0.5]
    """
    if path.shape != scores.shape[:1]:
        raise ShapeError("path", path.shape, f"({len(scores)},): a tag for each token")
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    earned = scores[np.arange(len(path)), path].astype(np.float64)
    is_first = np.diff(sequence, prepend=-1) > 0
    is_last = np.diff(sequence, append=len(lengths)) > 0
    steps = np.flatnonzero(~is_first)
    earned[steps] += chain.transitions[path[steps - 1], path[steps]]
    earned[is_first] += chain.start[path[is_first]]
    earned[is_last] += chain.end[path[is_last]]
    totals = np.bincount(sequence, earned, minlength=len(lengths))  # (B,)
    # What is no more than rounding must not make a path likelier than certain.
    return np.minimum(totals - run_forward_backward(scores, lengths, chain).log_partition, 0.0)


def count_expected(
    scores: Floats, sums: ForwardBackward, lengths: NDArray[np.integer], chain: LinearChain
) -> tuple[Floats, LinearChain]:
    """Count, in expectation over all paths, each tag at each token, `(T, L)`, and each start, transition and end."""
    probs = tag_probs(sums, lengths)
    ends = np.cumsum(lengths)
    filled = lengths > 0
    first, last = (ends - lengths)[filled], ends[filled] - 1
    left = np.delete(np.arange(len(scores)), last)
    log_partition = np.repeat(sums.log_partition, lengths)[left]
    steps = _count_steps(sums.alpha[left], scores[left + 1] + sums.beta[left + 1], log_partition, chain)
    return probs, LinearChain(start=probs[first].sum(axis=0), transitions=steps, end=probs[last].sum(axis=0))


def _count_steps(before: Floats, after: Floats, log_partition: Floats, chain: LinearChain) -> Floats:
    """Count, in expectation, how often each tag follows each, `(L, L)`.

    Args:
        before: `(n, L)` log sums up to the left token of each step.
        after: `(n, L)` log sums from its right token on.
        log_partition: `(n,)` of its sequence.
        chain: The scores of the chain.
    """
    factors, _, depth = compute_factors(chain.transitions)
    deep = find_depth(before) + find_depth(after) + depth > DEEPEST_PRODUCT
    # The probability of a step, all factors taken one by one; for the other rows a matrix product does the same.
    logs = before[deep][:, :, None] + chain.transitions + (after[deep] - log_partition[deep, None])[:, None, :]
    steps: Floats = np.exp(logs).sum(axis=0)
    before, after = (np.exp(each - finite_max(each)) for each in (before[~deep], after[~deep]))
    totals = (matmul(before, factors) * after).sum(axis=1, keepdims=True)
    steps += factors * matmul((before / totals).T, after)
    return steps
