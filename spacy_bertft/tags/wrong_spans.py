"""The loss of spans that are known to be wrong: −log of the probability of all paths that do not hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import TagError
from spacy_bertft.tags.chain import count_expected
from spacy_bertft.tags.forward_backward import Floats, LinearChain, run_forward_backward
from spacy_bertft.tags.grammar import TagGrammar
from spacy_bertft.tags.schemes import TagSpan


def compute_wrong_span_loss(
    scores: NDArray[np.floating],
    lengths: NDArray[np.integer],
    chain: LinearChain,
    grammar: TagGrammar,
    spans: Sequence[TagSpan],
) -> tuple[float, Floats, LinearChain]:
    """Compute `−log(1 − p)` of spans, where `p` is the probability of the whole span, and its gradient.

    Each span is summed over the paths of its sequence that leave it out, so nothing is lost where `p` is near one. An
    automaton runs along each path: it is before the span, in it, in its last token, or off it, and says by which
    transitions. Its states are copies of the tags, of which each token allows some.

    Args:
        scores: `(T, L)` tag scores of all tokens, sequence after sequence.
        lengths: `(B,)` tokens per sequence.
        chain: The scores of the chain.
        grammar: What continues what.
        spans: The spans, in tokens counted through the whole batch; each lies in one sequence.

    Returns:
        The loss summed over all spans, in nats, and its gradients with respect to the scores, `(T, L)`, and to the
        chain.

    Raises:
        TagError: Every path that the chain allows holds a span.
    """
    ends = np.cumsum(lengths)
    owner = np.searchsorted(ends, [span.token_start for span in spans], side="right")
    n_tokens = lengths[owner]  # (S,) of the sequence of each span
    # The rows of each span's sequence, `(R,)` in all.
    rows = np.concatenate([np.arange(0), *(np.arange(ends[each] - lengths[each], ends[each]) for each in owner)])
    own = np.asarray(scores, dtype=np.float64)[rows]  # (R, L)
    starts, stops = (np.repeat([span[side] for span in spans], n_tokens)[:, None] for side in (0, 1))
    has_label = np.array(grammar.labels) == np.repeat([span.label for span in spans], n_tokens)[:, None]  # (R, L)
    row = rows[:, None]
    is_first, is_last, is_within = row == starts, row == stops - 1, (row >= starts) & (row < stops)
    allowed = (
        np.broadcast_to(row < starts, own.shape),  # before
        is_within & ~is_last & (has_label | ~is_first),  # in the span, which may still go on or be left
        is_within & is_last & (has_label | ~is_first),  # in its last token
        (row > starts) | (is_first & ~has_label),  # off
        is_first & has_label,  # off, since this tag continues the one before
    )
    copies = np.concatenate([np.where(each, own, -np.inf) for each in allowed], axis=1)  # (R, 5·L)
    n_copies, never = len(allowed), np.full_like(chain.transitions, -np.inf)
    any_step, inside = chain.transitions, np.where(grammar.continues, chain.transitions, -np.inf)
    across = np.where(grammar.continues, -np.inf, chain.transitions)
    steps = [
        [any_step, across, across, any_step, inside],
        [never, inside, inside, across, never],
        [never, never, never, inside, never],  # only a path that goes on is no path of the span
        [never, never, never, any_step, never],
        [never, never, never, any_step, never],
    ]
    may_end = np.repeat([False, False, False, True, True], len(chain.end))
    without = LinearChain(
        start=np.where(
            np.repeat([True, True, True, True, False], len(chain.start)), np.tile(chain.start, n_copies), -np.inf
        ),
        transitions=np.block(steps),
        end=np.where(may_end, np.tile(chain.end, n_copies), -np.inf),
    )
    of_all, of_rest = run_forward_backward(own, n_tokens, chain), run_forward_backward(copies, n_tokens, without)
    for index in np.flatnonzero(np.isneginf(of_rest.log_partition))[:1]:
        problem = "is known to be wrong here, but no path without it is valid"
        raise TagError(int(spans[index].token_start), spans[index].label, problem, "a tag for what is no span")
    all_tags, all_steps = count_expected(own, of_all, n_tokens, chain)
    tags, rest = count_expected(copies, of_rest, n_tokens, without)
    shape = n_copies, len(chain.start)
    folded = LinearChain(
        start=rest.start.reshape(shape).sum(axis=0),
        transitions=rest.transitions.reshape(shape * 2).sum(axis=(0, 2)),
        end=rest.end.reshape(shape).sum(axis=0),
    )
    by_score = np.zeros(scores.shape)
    np.add.at(by_score, rows, all_tags - tags.reshape(-1, *shape).sum(axis=1))
    loss = float((of_all.log_partition - of_rest.log_partition).sum())
    return loss, by_score, LinearChain(*(each - part for each, part in zip(all_steps, folded, strict=True)))
