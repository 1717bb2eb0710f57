"""The divergence between two chains, against sums over all paths."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.errors import TagError
from spacy_bertft.tags.chain import chain_loss
from spacy_bertft.tags.divergence import chain_divergence
from spacy_bertft.tags.forward_backward import LinearChain, build_chain
from spacy_bertft.tags.grammar import build_grammar

GRAMMAR = build_grammar(["O", "B-X", "I-X"], "bio")


def draw(rng: np.random.Generator, n_tokens: int) -> tuple[np.ndarray, LinearChain]:
    valid = build_chain(GRAMMAR)
    return rng.normal(size=(n_tokens, 3)), LinearChain(*(each + rng.normal(size=each.shape) for each in valid))


def list_log_probs(scores: np.ndarray, chain: LinearChain) -> np.ndarray:
    """Compute the log-probability of every path, one by one."""
    totals = []
    for path in product(range(3), repeat=len(scores)):
        steps = sum(chain.transitions[pair] for pair in pairwise(path))
        tags = sum(scores[token, tag] for token, tag in enumerate(path))
        totals.append(chain.start[path[0]] + steps + tags + chain.end[path[-1]])
    return np.array(totals) - np.log(np.exp(totals).sum())


def compute(scores, chain, target_scores, target_chain, lengths):
    return chain_divergence(scores, chain, target_scores, target_chain, np.array(lengths))


@given(st.integers(0, 1000), st.integers(1, 4))
def test_it_is_that_of_all_paths(seed: int, n_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    own, target = draw(rng, n_tokens), draw(rng, n_tokens)
    p, q = list_log_probs(*own), list_log_probs(*target)
    held = np.isfinite(q)
    loss, _, _ = compute(*own, *target, [n_tokens])
    assert loss == pytest.approx((np.exp(q[held]) * (q[held] - p[held])).sum(), abs=1e-9)


@given(st.integers(0, 1000))
def test_its_gradient_is_that_of_finite_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (scores, chain), target, lengths = draw(rng, 5), draw(rng, 5), [3, 0, 2]
    _, by_score, by_chain = compute(scores, chain, *target, lengths)
    for array, gradient in ((scores, by_score), *zip(chain, by_chain, strict=True)):
        place = tuple(rng.integers(size) for size in array.shape)
        losses = []
        for step in (1e-5, -2e-5):
            array[place] += step
            losses.append(compute(scores, chain, *target, lengths)[0])
        assert gradient[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-5)


def test_it_is_zero_for_the_same_chain() -> None:
    own = draw(np.random.default_rng(0), 4)
    loss, by_score, by_chain = compute(*own, *own, [4])
    assert loss == pytest.approx(0, abs=1e-12)
    assert max(np.abs(each).max() for each in (by_score, *by_chain)) < 1e-12


def test_for_a_target_of_one_path_it_is_the_likelihood_of_that() -> None:
    scores, chain = draw(np.random.default_rng(1), 4)
    allowed = np.eye(3, dtype=bool)[[1, 2, 0, 1]]
    target = np.where(allowed, 0.0, -np.inf)
    loss, by_score, by_chain = compute(scores, chain, target, build_chain(GRAMMAR), [4])
    expected, expected_by_score, expected_by_chain = chain_loss(scores, np.array([4]), chain, allowed)
    assert loss == pytest.approx(expected)
    for found, wanted in ((by_score, expected_by_score), *zip(by_chain, expected_by_chain, strict=True)):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_target_without_a_path_is_an_error() -> None:
    scores, chain = draw(np.random.default_rng(0), 2)
    target = np.where(np.eye(3, dtype=bool)[[0, 2]], 0.0, -np.inf)  # O I-X
    with pytest.raises(TagError):
        compute(scores, chain, target, build_chain(GRAMMAR), [2])
