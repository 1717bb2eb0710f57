"""How far what one linear chain says of the paths of a sentence is from what another one says, over all paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import TagError
from spacy_bertft.tags.chain import count_expected
from spacy_bertft.tags.forward_backward import Floats, LinearChain, run_forward_backward


def chain_divergence(
    scores: NDArray[np.floating],
    chain: LinearChain,
    target_scores: NDArray[np.floating],
    target_chain: LinearChain,
    lengths: NDArray[np.integer],
) -> tuple[float, Floats, LinearChain]:
    """Compute the Kullback-Leibler divergence from the distribution over paths of one chain to that of a target.

    With `p` for the chain and `q` for the target it is `log Z(p) - log Z(q) + E_q[score_q - score_p]`, so its gradient
    is what `p` expects of tags and transitions less what `q` expects. A target of one path makes it the negative
    log-likelihood of that path.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence; minus infinity forbids a tag.
        chain: The scores of the chain.
        target_scores: `(T, L)` those of the target, which forbids what `scores` forbid.
        target_chain: Its chain.
        lengths: `(B,)` tokens per sequence.

    Returns:
        The divergence summed over all sequences, in nats, and its gradients with respect to the scores, `(T, L)`, and
        to the chain.

    Raises:
        ShapeError: The arrays do not fit each other.
        TagError: The target allows no path of a sequence.

    Source: Wang et al. (2020), Structure-Level Knowledge Distillation For Multilingual Sequence Labeling, section 3.1,
        with all paths instead of the best ones; Hinton, Vinyals & Dean (2015).
    """
    own, target = (np.asarray(each, dtype=np.float64) for each in (scores, target_scores))
    sums, target_sums = run_forward_backward(own, lengths, chain), run_forward_backward(target, lengths, target_chain)
    invalid = np.flatnonzero(np.isneginf(target_sums.log_partition))
    if len(invalid):
        raise TagError(int(invalid[0]), "?", "the gold tags of this sequence are not valid", "a valid sequence")
    tags, steps = count_expected(own, sums, lengths, chain)
    target_tags, target_steps = count_expected(target, target_sums, lengths, target_chain)
    loss = float((sums.log_partition - target_sums.log_partition).sum())
    pairs = [(target, own, target_tags), *zip(target_chain, chain, target_steps, strict=True)]
    loss += sum(
        float((count * np.subtract(left, right, where=count > 0, out=np.zeros_like(count))).sum())
        for left, right, count in pairs
    )
    gradient = LinearChain(*(each - gold for each, gold in zip(steps, target_steps, strict=True)))
    return loss, tags - target_tags, gradient


def pad_chain(chain: LinearChain, larger: LinearChain) -> LinearChain:
    """Give a chain the further tags of a larger one, which forbids them what it forbids and has no other preference."""
    n_added = len(larger.start) - len(chain.start)
    padded = (np.pad(each, (0, n_added)) for each in chain)
    return LinearChain(*(np.where(np.isneginf(all_), all_, own) for all_, own in zip(larger, padded, strict=True)))
