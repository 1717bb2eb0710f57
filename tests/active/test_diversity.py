"""The invariants of picking: what is picked, in which order, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.active.diversity import pick_diverse


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_texts = draw(st.integers(0, 12))
    return rng.random(n_texts).round(draw(st.sampled_from([1, 9]))), rng.normal(size=(n_texts, 3)).astype(np.float32)


shares = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(pools(), st.integers(0, 14), shares)
def test_each_text_once_and_the_same_again(pool, n_picked, diversity):
    uncertainty, vectors = pool
    picked = pick_diverse(uncertainty, vectors, n_picked, diversity)
    assert len(set(picked.tolist())) == len(picked) == min(n_picked, len(uncertainty))
    assert picked.tolist() == pick_diverse(uncertainty, vectors, n_picked, diversity).tolist()
    if len(picked):
        assert uncertainty[picked[0]] == uncertainty.max()
        # Who asks for fewer gets the first of them.
        assert picked[:-1].tolist() == pick_diverse(uncertainty, vectors, len(picked) - 1, diversity).tolist()


@given(pools(), st.integers(0, 14))
def test_without_diversity_it_is_sorting_by_uncertainty(pool, n_picked):
    uncertainty, vectors = pool
    expected = np.argsort(-uncertainty, kind="stable")[:n_picked]
    assert pick_diverse(uncertainty, vectors, n_picked, 0.0).tolist() == expected.tolist()


@given(pools(), st.sampled_from([0.1, 0.5, 1.0]))
def test_no_copy_is_picked_while_something_distinct_is_left(pool, diversity):
    uncertainty, vectors = pool
    n_texts = len(uncertainty)
    # Every text twice; the copies are the more uncertain ones, and one of them is longer.
    picked = pick_diverse(
        np.concatenate([uncertainty, uncertainty + 1]), np.concatenate([vectors, 2 * vectors]), n_texts, diversity
    )
    assert sorted(picked % max(1, n_texts)) == list(range(n_texts))


def test_a_near_copy_gives_way_to_a_distinct_text():
    vectors = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    uncertainty = np.array([0.9, 0.8, 0.2])
    assert pick_diverse(uncertainty, vectors, 3, 0.5).tolist() == [0, 2, 1]
    assert pick_diverse(uncertainty, vectors, 3, 0.0).tolist() == [0, 1, 2]


@given(pools(), st.integers(1, 5))
def test_full_diversity_is_farthest_first(pool, n_picked):
    uncertainty, vectors = pool
    picked = pick_diverse(uncertainty, vectors, n_picked, 1.0)
    units = vectors.astype(float) / np.linalg.norm(vectors, axis=1, keepdims=True)
    for step in range(1, len(picked)):
        nearest = np.linalg.norm(units[:, None] - units[picked[:step]], axis=2).min(axis=1)
        assert nearest[picked[step]] == pytest.approx(nearest.max())


def test_vectors_of_zeros_are_copies_of_each_other():
    assert pick_diverse(np.array([0.1, 0.3, 0.2]), np.zeros((3, 2)), 3, 0.5).tolist() == [1, 2, 0]
