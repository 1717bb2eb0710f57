"""The figures of categories against scikit-learn, on random values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import spacy
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.errors import DataError
from spacy_bertft.evaluation.categories import measure_categories
from spacy_bertft.evaluation.tables import format_category_scores

nlp = spacy.blank("en")
LABELS = ("a", "b", "c", "d")
EXCLUSIVE, MULTILABEL = "textcat", "textcat_multilabel"
COMPONENT = SimpleNamespace(labels=LABELS, cfg={"threshold": 0.4})


def make_example(predicted: dict[str, float], gold: dict[str, float]) -> Example:
    docs = []
    for cats in (predicted, gold):
        doc = Doc(nlp.vocab, words=["word"])
        doc.cats = dict(cats)
        docs.append(doc)
    return Example(*docs)


def draw_at_random(seed: int, factory: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw `(D, L)` predicted and gold values."""
    random = np.random.default_rng(seed)
    predicted = random.random((60, len(LABELS))).round(2)
    if factory == EXCLUSIVE:
        return predicted / predicted.sum(axis=1, keepdims=True), np.eye(len(LABELS))[random.integers(0, 4, 60)]
    return predicted, (random.random((60, len(LABELS))) < 0.3).astype(float)


def measure(factory, examples):
    return measure_categories(factory, factory, COMPONENT, examples)


def format_rows(result):
    return format_category_scores(result.component, result.scores)


def check_rows(rows, gold, predicted, auc):
    """Check the printed table against scikit-learn, down to the last digit."""
    columns = precision_recall_fscore_support(gold, predicted, labels=range(4), zero_division=0)
    expected = [[*(f"{100 * column[row]:.2f}" for column in columns[:3])] for row in range(4)]
    assert [list(row[1:4]) for row in rows[1:5]] == expected
    assert [row[5] for row in rows[1:5]] == [str(count) for count in columns[3]]
    assert [row[4] for row in rows[1:5]] == [f"{100 * area:.2f}" for area in auc]
    for row, average in zip(rows[5:], ("macro", "micro"), strict=True):
        shares = precision_recall_fscore_support(gold, predicted, labels=range(4), average=average, zero_division=0)
        assert list(row[1:4]) == [f"{100 * share:.2f}" for share in shares[:3]]
    assert rows[5][4] == f"{100 * np.mean(auc):.2f}"
    assert rows[6][4] == "–"


@pytest.mark.parametrize("seed", range(5))
def test_exclusive_classes_are_as_in_scikit_learn(seed):
    values, gold = draw_at_random(seed, EXCLUSIVE)
    examples = [
        make_example(dict(zip(LABELS, row.tolist(), strict=True)), dict(zip(LABELS, right.tolist(), strict=True)))
        for row, right in zip(values, gold, strict=True)
    ]
    found = measure(EXCLUSIVE, examples)
    classes, predicted = gold.argmax(axis=1), values.argmax(axis=1)
    assert found.scores["cats_accuracy"] == accuracy_score(classes, predicted)
    assert found.confusion is not None
    assert found.confusion.counts.tolist() == confusion_matrix(classes, predicted, labels=range(4)).tolist()
    check_rows(format_rows(found), classes, predicted, roc_auc_score(gold, values, average=None))


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_do_not_exclude_each_other_are_as_in_scikit_learn(seed):
    values, gold = draw_at_random(seed, MULTILABEL)
    examples = [
        make_example(dict(zip(LABELS, row.tolist(), strict=True)), dict(zip(LABELS, right.tolist(), strict=True)))
        for row, right in zip(values, gold, strict=True)
    ]
    found = measure(MULTILABEL, examples)
    predicted = values >= 0.4
    assert found.scores["cats_accuracy"] == accuracy_score(gold, predicted)
    assert found.confusion is None
    check_rows(format_rows(found), gold, predicted, roc_auc_score(gold, values, average=None))


def test_labels_without_a_gold_value_are_unknown():
    examples = [
        # b is predicted and nobody knows whether rightly: a is right, so all that is known is.
        make_example({"a": 0.9, "b": 0.9, "c": 0.1, "d": 0.1}, {"a": 1.0}),
        make_example({"a": 0.9, "b": 0.9, "c": 0.1, "d": 0.1}, {"a": 1.0, "b": 0.0}),
        make_example({"a": 0.9, "b": 0.9, "c": 0.1, "d": 0.1}, {}),
    ]
    found = measure(MULTILABEL, examples)
    assert found.scores["cats_accuracy"] == 0.5
    assert dict(found.scores["cats_support"]) == {"a": 2, "b": 0, "c": 0, "d": 0}
    assert "1 without a gold label left out" in found.notes
    assert "4 of 4 labels without AUC, 0 in its average as in spaCy" in found.notes


def test_documents_without_a_gold_class_are_left_out():
    predicted = {"a": 0.7, "b": 0.3}
    examples = [make_example(predicted, gold) for gold in ({"a": 1.0}, {"b": 1.0, "a": 0.0}, {}, {"a": 0.0, "b": 0.0})]
    found = measure(EXCLUSIVE, examples)
    assert found.scores["cats_accuracy"] == 0.5
    assert sum(found.scores["cats_support"].values()) == 2
    assert "2 without a gold label left out" in found.notes
    # Of a and b, both predicted as a: a text without a gold class is no error of a.
    assert found.scores["cats_f_per_type"]["a"]["p"] == 0.5


def test_no_gold_class_at_all():
    found = measure(EXCLUSIVE, [make_example({"a": 0.7, "b": 0.3}, {})])
    assert found.scores["cats_accuracy"] is None
    assert format_rows(found) == []
    assert found.notes == ("no document has a gold label",)


def test_a_class_that_the_pipeline_does_not_know_is_an_error():
    examples = [make_example({"a": 1.0}, {"a": 1.0}), make_example({"a": 1.0}, {"a": 0.0, "new": 1.0})]
    found = measure(EXCLUSIVE, examples)
    assert found.scores["cats_accuracy"] == 0.5
    assert found.confusion is not None
    assert found.confusion.labels == (*LABELS, "new")
    assert found.confusion.counts[:, 0].tolist() == [1, 0, 0, 0, 1]
    rows = format_rows(found)
    assert rows[1] == ("a", "50.00", "100.00", "66.67", "50.00", "1")
    assert rows[5] == ("new", "0.00", "0.00", "0.00", "–", "1")
    assert rows[7] == ("micro average", "50.00", "50.00", "50.00", "–", "2")
    assert "gold labels that the pipeline does not know: new (1)" in found.notes


def test_a_label_that_the_pipeline_does_not_know_says_nothing_about_the_others():
    found = measure(MULTILABEL, [make_example({"a": 1.0}, {"a": 1.0, "new": 1.0})])
    assert found.scores["cats_accuracy"] == 1.0
    assert found.scores["cats_support"]["new"] == 1


def test_only_unknown_labels_are_named():
    found = measure(
        MULTILABEL, [make_example({"a": 0.9}, {"new": 1.0, "old": 1.0}), make_example({"a": 0.9}, {"new": 1.0})]
    )
    assert format_rows(found) == []
    assert found.notes == (
        "no document has a gold label that it knows",
        "gold labels that the pipeline does not know: new (2), old (1)",
    )


def test_a_document_without_a_prediction_is_an_error():
    examples = [make_example({}, {"a": 1.0})]
    with pytest.raises(DataError, match=r"'word ' has no predicted category\. Expected one of a, b, c, d"):
        measure(EXCLUSIVE, examples)
