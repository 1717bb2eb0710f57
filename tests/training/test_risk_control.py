"""What is promised is kept on average, and the threshold is as high as that allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.training.risk_control import GoldProbs, count_needed, fit_threshold, join_gold_probs


def make_gold(probs: np.ndarray, doc: np.ndarray, n_docs: int) -> GoldProbs:
    return GoldProbs(probs, doc, n_docs, lambda threshold: int((probs >= threshold).sum()))


def draw_gold(rng: np.random.Generator, n_docs: int, most: int = 4) -> GoldProbs:
    """Draw documents with up to some gold entities, some of them hard as a whole, a few entities impossible."""
    doc = np.repeat(np.arange(n_docs), rng.integers(0, most + 1, n_docs))
    ease = rng.beta(2, 0.5, n_docs)[doc]
    probs = ease * rng.beta(5, 1, len(doc)) * (rng.random(len(doc)) > 0.005)
    return make_gold(probs, doc, n_docs)


def choose(gold: GoldProbs, docs: np.ndarray) -> GoldProbs:
    is_chosen = np.isin(gold.doc, docs)
    return make_gold(gold.probs[is_chosen], gold.doc[is_chosen], len(docs))


@pytest.mark.parametrize("recall", [0.8, 0.95])
@pytest.mark.parametrize("most", [1, 4])
def test_the_promise_is_kept_on_average(recall: float, most: int) -> None:
    """Fitted on half of 400 documents and measured on the others, 200 times."""
    rng = np.random.default_rng(0)
    gold = draw_gold(rng, 400, most)
    risks = []
    for _ in range(200):
        order = rng.permutation(400)
        threshold = fit_threshold(choose(gold, order[:200]), recall)
        assert threshold is not None
        risks.append(1 - choose(gold, order[200:]).compute_recall(threshold))
    error = np.std(risks) / math.sqrt(len(risks))
    assert np.mean(risks) <= 1 - recall + 3 * error
    assert np.mean(risks) >= 1 - recall - 0.03  # nor is it kept by taking everything


@given(seed=st.integers(0, 2**32 - 1), recall=st.floats(0.05, 0.95))
def test_it_is_the_highest_that_the_bound_allows(seed: int, recall: float) -> None:
    gold = draw_gold(np.random.default_rng(seed), 12)
    n = len(set(gold.doc.tolist()))

    def is_allowed(threshold: float) -> bool:
        risk = 1 - gold.compute_recall(threshold) if n else 0.0
        return n / (n + 1) * risk + 1 / (n + 1) <= 1 - recall + 1e-9

    found = fit_threshold(gold, recall)
    allowed = [prob for prob in gold.probs if prob > 0 and is_allowed(prob)]
    assert found == (pytest.approx(max(allowed), rel=1e-5) if allowed else None)
    if found is not None:
        assert is_allowed(found)
        assert (fit_threshold(gold, recall / 2) or 1) >= found
    else:
        needed = count_needed(gold, recall)
        assert needed is None or needed > n


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40), st.floats(0.1, 0.9))
def test_with_one_for_each_document_it_is_split_conformal(probs: list[float], recall: float) -> None:
    """The quantile of 1 − p at ⌈(n + 1) · recall⌉ of n (Vovk et al. 2005)."""
    n = len(probs)
    rank = math.ceil((n + 1) * recall - 1e-9)
    expected = sorted(probs, reverse=True)[rank - 1] if rank <= n else None
    found = fit_threshold(make_gold(np.array(probs), np.arange(n), n), recall)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.95, 0.99])
def test_so_many_documents_are_needed(recall: float) -> None:
    nothing = make_gold(np.zeros(0), np.zeros(0, dtype=np.intp), 7)
    needed = count_needed(nothing, recall)
    assert needed == round(recall / (1 - recall))
    for n, is_enough in ((needed - 1, False), (needed, True)):
        gold = make_gold(np.full(n, 0.5), np.arange(n), n)
        assert (fit_threshold(gold, recall) is not None) == is_enough


def test_what_can_be_no_candidate_needs_more_documents_or_cannot_be_promised() -> None:
    gold = make_gold(np.array([0.0, *[0.5] * 99]), np.arange(100), 100)
    assert count_needed(gold, 0.98) == 98
    assert count_needed(gold, 0.985) == 197
    assert fit_threshold(gold, 0.985) is None
    assert count_needed(gold, 0.99) is None


def test_documents_without_gold_make_no_difference() -> None:
    probs = np.linspace(0.1, 0.9, 30)
    few, many = make_gold(probs, np.arange(30), 30), make_gold(probs, 5 * np.arange(30), 150)
    assert fit_threshold(few, 0.9) == fit_threshold(many, 0.9)
    assert few.compute_recall(0.5) == many.compute_recall(0.5)


def test_a_document_counts_once_however_much_it_has() -> None:
    gold = make_gold(np.array([0.9, 0.1, 0.1, 0.1]), np.array([0, 1, 1, 1]), 2)
    assert gold.compute_recall(0.5) == 0.5


def test_parts_are_joined() -> None:
    parts = [draw_gold(np.random.default_rng(seed), 5) for seed in range(3)]
    joined = join_gold_probs(parts)
    assert joined.n_docs == 15
    assert joined.count_candidates(0.5) == sum(part.count_candidates(0.5) for part in parts)
    expected = [part.compute_recall(0.5) * len(set(part.doc.tolist())) for part in parts]
    assert joined.compute_recall(0.5) == pytest.approx(sum(expected) / len(set(joined.doc.tolist())))
    assert join_gold_probs([]).n_docs == 0
