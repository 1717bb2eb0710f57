"""The probability of a path against all the others there are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.errors import ShapeError
from spacy_bertft.tags.chain import best_paths, chain_loss, path_log_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain
from spacy_bertft.tags.grammar import build_grammar

CHAINS = (build_free_chain(3), build_chain(build_grammar(["O", "B-X", "I-X"], "bio")))


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, LinearChain]:
    """Draw sequences of up to four tokens, and a chain, learned or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)), dtype=np.intp)
    chain = draw(st.sampled_from(CHAINS))
    if draw(st.booleans()):
        noise = rng.normal(size=(5, 3))
        chain = LinearChain(chain.start + noise[0], chain.transitions + noise[1:4], chain.end + noise[4])
    return rng.normal(0, draw(st.sampled_from([0.1, 1.0, 30.0])), (lengths.sum(), 3)), lengths, chain


@given(batches())
def test_all_paths_of_a_sentence_sum_to_one(batch):
    scores, lengths, chain = batch
    ends = np.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        length = end - start
        paths = np.array(list(product(range(3), repeat=length)), dtype=np.intp).reshape(3**length, length)
        # Every path as a sequence of its own, all of them in one batch.
        every = np.tile(scores[start:end], (len(paths), 1))
        log_probs = path_log_probs(paths.ravel(), every, np.full(len(paths), length), chain)
        assert np.exp(log_probs).sum() == pytest.approx(1)


@given(batches())
def test_the_best_path_is_the_most_probable_and_its_loss_is_minus_its_log_probability(batch):
    scores, lengths, chain = batch
    path = best_paths(scores, lengths, chain)
    log_probs = path_log_probs(path, scores, lengths, chain)
    assert log_probs.shape == lengths.shape
    assert (log_probs <= 0).all()
    assert (log_probs[lengths == 0] == 0).all()
    loss, *_ = chain_loss(scores, lengths, chain, np.eye(3, dtype=np.bool_)[path])
    assert loss == pytest.approx(-log_probs.sum(), abs=1e-9)


def test_a_forbidden_path_has_no_probability():
    log_probs = path_log_probs(np.array([0, 2]), np.zeros((2, 3)), np.array([2]), CHAINS[1])
    assert log_probs.tolist() == [-np.inf]


def test_a_path_of_another_length():
    with pytest.raises(ShapeError, match="path has shape"):
        path_log_probs(np.zeros(1, dtype=np.intp), np.zeros((2, 3)), np.array([2]), CHAINS[0])
