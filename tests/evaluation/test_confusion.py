from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from spacy_bertft.evaluation.confusion import count_confusions

LABELS = ["a", "b", "c", "d"]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_counts_are_those_of_scikit_learn(pairs):
    gold, predicted = zip(*pairs, strict=True)
    confusion = count_confusions(LABELS, pairs)
    assert confusion.counts.tolist() == confusion_matrix(gold, predicted, labels=LABELS).tolist()
    sums = confusion.row_shares.sum(axis=1)
    np.testing.assert_allclose(sums, [label in gold for label in LABELS])


def test_no_documents():
    confusion = count_confusions(LABELS, [])
    assert not confusion.counts.any()
    assert not confusion.row_shares.any()


def test_few_classes_are_a_matrix():
    confusion = count_confusions(["ham", "spam"], [("ham", "ham")] * 1200 + [("spam", "ham")])
    assert confusion.format_rows() == [
        ("gold \\ predicted", "ham", "spam"),
        ("ham", "1,200", "0"),
        ("spam", "1", "0"),
    ]


def test_many_classes_are_their_most_frequent_confusions():
    labels = [f"label {index:02}" for index in range(28)]
    right = [(label, label) for label in labels] * 50
    wrong = [(labels[3], labels[20])] * 50 + [(labels[20], labels[3])] * 2 + [(labels[1], labels[0])]
    rows = count_confusions(labels, right + wrong).format_rows()
    assert rows == [
        ("most frequent confusions: gold", "predicted", "documents", "% of gold"),
        ("label 03", "label 20", "50", "50.00"),
        ("label 20", "label 03", "2", "3.85"),
        ("label 01", "label 00", "1", "1.96"),
    ]
    assert count_confusions(labels, right).format_rows() == []
    everything = [(gold, predicted) for gold in labels for predicted in labels]
    assert len(count_confusions(labels, everything).format_rows()) == 16
