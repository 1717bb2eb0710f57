"""The loss of wrong spans against enumeration of all paths, and where it would be lost in rounding."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bertft.errors import TagError
from spacy_bertft.tags.chain import path_log_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain
from spacy_bertft.tags.grammar import TagGrammar, build_grammar
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.tags.spans import find_spans
from spacy_bertft.tags.wrong_spans import compute_wrong_span_loss

GRAMMARS = (
    build_grammar(["O", "B-X", "I-X"], "bio"),
    build_grammar(["I-X", "O", "I-Y", "B-X"], "iob1"),
    build_grammar(["O", "B-X", "I-X", "E-X", "S-X"], "bioes"),
    build_grammar(["O", "X", "Y"], "bare"),
)


def compute_expected(scores: np.ndarray, chain: LinearChain, grammar: TagGrammar, span: TagSpan) -> float:
    """Sum the probability of all paths that hold a span, one by one."""
    lengths, total = np.array([len(scores)]), 0.0
    for tags in product(range(len(grammar.tags)), repeat=len(scores)):
        path = np.array(tags)
        found = find_spans(path, scores, lengths, grammar, chain)
        held = zip(found.token_start, found.token_end, (grammar.labels[tag] for tag in found.tag), strict=True)
        if span in [TagSpan(int(start), int(end), label) for start, end, label in held]:
            total += np.exp(path_log_probs(path, scores, lengths, chain)[0])
    return -np.log1p(-total)


@pytest.mark.everyday(4)
@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("grammar", GRAMMARS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_loss_is_that_of_all_paths_and_the_gradient_its_slope(
    grammar: TagGrammar, is_free: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    plain = build_free_chain(len(grammar.tags)) if is_free else build_chain(grammar)
    chain = LinearChain(*(each + rng.normal(size=each.shape) for each in plain))
    lengths = rng.integers(1, 5, 2)
    scores = 2 * rng.normal(size=(lengths.sum(), len(grammar.tags)))
    spans, expected = [], 0.0
    for sequence in rng.integers(0, 2, 2):  # perhaps two of one sequence
        first = int(lengths[:sequence].sum())
        start = int(rng.integers(0, lengths[sequence]))
        span = TagSpan(
            start, int(rng.integers(start, lengths[sequence])) + 1, rng.choice(sorted({*grammar.labels} - {""}))
        )
        spans.append(TagSpan(first + span.token_start, first + span.token_end, span.label))
        expected += compute_expected(scores[first : first + lengths[sequence]], chain, grammar, span)
    loss, by_score, by_chain = compute_wrong_span_loss(scores, lengths, chain, grammar, spans)
    assert loss == pytest.approx(expected, abs=1e-9)
    step = (
        rng.normal(size=scores.shape),
        *(np.where(np.isfinite(each), rng.normal(size=each.shape), 0) for each in chain),
    )

    def move(size: float) -> float:
        moved = LinearChain(*(each + size * by for each, by in zip(chain, step[1:], strict=True)))
        return compute_wrong_span_loss(scores + size * step[0], lengths, moved, grammar, spans)[0]

    slope = sum(float((gradient * by).sum()) for gradient, by in zip((by_score, *by_chain), step, strict=True))
    assert slope == pytest.approx((move(1e-5) - move(-1e-5)) / 2e-5, abs=1e-6)


def test_a_span_that_is_all_but_certain_still_has_its_gradient() -> None:
    """In `1 - p` nothing would be left of it."""
    grammar = GRAMMARS[0]
    scores = np.array([[0.0, 60.0, 0.0], [0.0, 0.0, 60.0]])
    loss, gradient, _ = compute_wrong_span_loss(
        scores, np.array([2]), build_chain(grammar), grammar, [TagSpan(0, 2, "X")]
    )
    assert loss == pytest.approx(60 - np.log(2), abs=1e-6)  # B-X O and B-X B-X are next
    np.testing.assert_allclose(gradient, [[0, 0, 0], [-0.5, -0.5, 1]], atol=1e-6)


def test_no_other_path_is_left() -> None:
    grammar = build_grammar(["B-X", "I-X"], "bio")
    with pytest.raises(TagError, match="X"):
        compute_wrong_span_loss(np.zeros((1, 2)), np.array([1]), build_chain(grammar), grammar, [TagSpan(0, 1, "X")])
