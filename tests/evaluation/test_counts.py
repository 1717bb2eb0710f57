"""Precision, recall and F1 against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.counts import MACRO, MICRO, count_pairs, count_shares, measure_figures

LABELS = ["a", "b", "c"]
FEW = Resampling(20)
classes = st.sampled_from(LABELS)


@given(st.lists(st.lists(st.tuples(classes, classes), max_size=4), min_size=1, max_size=6))
def test_figures_are_those_of_scikit_learn(docs):
    figures = measure_figures(count_pairs(LABELS, docs), FEW)
    pairs = [pair for doc in docs for pair in doc]
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    assert figures.names == (MICRO, MACRO, *LABELS)
    if not pairs:
        assert np.isnan(figures.shares[0]).all()
        return
    *by_label, support = precision_recall_fscore_support(gold, predicted, labels=LABELS, zero_division=np.nan)
    np.testing.assert_allclose(figures.shares[2:], np.stack(by_label, axis=1))
    assert figures.support[2:].tolist() == support.tolist()
    for row, average in ((0, "micro"), (1, "macro")):
        expected = precision_recall_fscore_support(gold, predicted, labels=LABELS, average=average, zero_division=0)
        np.testing.assert_allclose(figures.shares[row], expected[:3])


def test_documents_without_annotation_are_not_drawn():
    docs = [[("a", "a")], None, [("a", "b")], None]
    figures = measure_figures(count_pairs(LABELS, docs), FEW)
    alone = measure_figures(count_pairs(LABELS, [doc for doc in docs if doc]), FEW)
    np.testing.assert_array_equal(figures.samples, alone.samples)
    assert figures.support[0] == 2


def test_a_resample_without_a_label_is_left_out_of_its_figures():
    docs = [[("a", "a")]] * 6 + [[("b", "b")]]
    figures = measure_figures(count_pairs(["a", "b", "never"], docs), Resampling(200))
    samples = figures.samples[:, 3, 2]
    assert np.isnan(samples).any()
    assert (samples[~np.isnan(samples)] == 1).all()
    assert figures.intervals[3, 2].tolist() == [1.0, 1.0]
    # One label of three is never met, and counts as 0 in every resample.
    assert figures.shares[1, 2] == pytest.approx(2 / 3)
    assert set(figures.samples[:, 1, 2].round(6).tolist()) == {0.666667, 0.5}


def test_the_interval_is_around_the_figure():
    rng = np.random.default_rng(0)
    docs = [[(LABELS[gold], LABELS[gold if rng.random() < 0.7 else 0])] for gold in rng.integers(0, 3, 200).tolist()]
    figures = measure_figures(count_pairs(LABELS, docs), Resampling(500))
    low, high = np.moveaxis(figures.intervals, -1, 0)
    # Every mistake is an "a": precision of the others, and recall of "a", are 1 in every resample.
    assert (low < figures.shares).sum() == 12
    assert (low <= figures.shares).all()
    assert (figures.shares <= high).all()


def test_shares_of_correct_predictions():
    counts = count_shares([[True, False], None, [], [True, True]])
    figures = measure_figures(counts, FEW)
    assert figures.shares[0].tolist() == [0.75, 0.75, 0.75]
    assert figures.support[0] == 4
    assert counts.is_known.tolist() == [True, False, True, True]


@pytest.mark.parametrize(("labels", "docs"), [(LABELS, [None, None]), ([], [[("O", "O")]]), ([], [])])
def test_nothing_to_measure(labels, docs):
    figures = measure_figures(count_pairs(labels, docs), FEW)
    assert figures.shares.shape == (2 + len(labels), 3)
    assert np.isnan(figures.shares[0]).all()
    assert np.isnan(figures.intervals[0]).all()
