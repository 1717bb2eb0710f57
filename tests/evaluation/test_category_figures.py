"""The figures of categories against scikit-learn, on random values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import spacy
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.categories import measure_categories
from spacy_bertft.evaluation.counts import measure_figures

nlp = spacy.blank("en")
LABELS = ("a", "b", "c", "d")
NOTHING = dict.fromkeys(LABELS, 0.0)
FEW = Resampling(2)
EXCLUSIVE, MULTILABEL = "bert_textcat", "bert_textcat_multilabel"
COMPONENT = SimpleNamespace(labels=LABELS, cfg={"threshold": 0.4})


def make_example(predicted, gold, text="word") -> Example:
    docs = [Doc(nlp.vocab, words=[text]) for _ in range(2)]
    for doc, cats in zip(docs, (predicted, gold), strict=True):
        doc.cats = dict(cats) if isinstance(cats, dict) else dict(zip(LABELS, cats.tolist(), strict=True))
    return Example(*docs)


def measure(factory: str, examples):
    return measure_categories("cats", factory, COMPONENT, examples, n_errors=9)


def check(result, gold, predicted, accuracy):
    [level] = result.levels
    figures = measure_figures(level.counts, FEW)
    *shares, support = precision_recall_fscore_support(gold, predicted, labels=range(4), zero_division=np.nan)
    np.testing.assert_allclose(figures.shares[2:], np.stack(shares, axis=1))
    assert figures.support[2:].tolist() == support.tolist()
    for row, average in ((0, "micro"), (1, "macro")):
        expected = precision_recall_fscore_support(gold, predicted, labels=range(4), average=average, zero_division=0)
        np.testing.assert_allclose(figures.shares[row], expected[:3])
    assert measure_figures(level.accuracy, FEW).shares[0, 0] == pytest.approx(accuracy)


@pytest.mark.parametrize("seed", range(5))
def test_exclusive_classes_are_as_in_scikit_learn(seed):
    random = np.random.default_rng(seed)
    values, gold = random.random((60, 4)), np.eye(4)[random.integers(0, 4, 60)]
    result = measure(EXCLUSIVE, [make_example(*rows) for rows in zip(values, gold, strict=True)])
    classes, predicted = gold.argmax(axis=1), values.argmax(axis=1)
    check(result, classes, predicted, accuracy_score(classes, predicted))
    assert np.trace(result.confusion.counts) == (classes == predicted).sum()
    np.testing.assert_allclose(result.judged[0], values.max(axis=1))
    assert result.judged[1].tolist() == (classes == predicted).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_may_hold_together_are_as_in_scikit_learn(seed):
    random = np.random.default_rng(seed)
    values, gold = random.random((60, 4)), (random.random((60, 4)) < 0.3).astype(float)
    result = measure(MULTILABEL, [make_example(*rows) for rows in zip(values, gold, strict=True)])
    check(result, gold, values >= 0.4, accuracy_score(gold, values >= 0.4))
    assert result.confusion is None


def test_the_most_confident_errors():
    examples = [
        make_example(NOTHING | {"a": 0.9, "b": 0.1}, {"b": 1.0}, "sure"),
        make_example(NOTHING | {"a": 0.6, "b": 0.4}, {"b": 1.0}, "less sure"),
        make_example(NOTHING | {"a": 1.0}, {"a": 1.0}, "right"),
        make_example(NOTHING | {"a": 1.0}, {}, "unknown"),
    ]
    result = measure(EXCLUSIVE, examples)
    assert [(error.confidence, error.caption) for error in result.errors] == [
        (0.9, "predicted a, gold b"),
        (0.6, "predicted a, gold b"),
    ]
    assert result.errors[0].excerpts[0].text.strip() == "sure"
    assert "1 without a gold label left out" in result.notes
    assert result.levels[0].counts.is_known.tolist() == [True, True, True, False]


def test_the_most_confident_error_of_several_labels():
    example = make_example({"a": 0.7, "b": 0.1, "c": 0.5, "d": 0.3}, {"a": 0.0, "b": 1.0, "c": 1.0})
    [error] = measure(MULTILABEL, [example]).errors
    assert (error.confidence, error.caption) == (0.9, "predicted not b, gold b")


def test_a_class_that_no_component_knows_is_an_error():
    result = measure(EXCLUSIVE, [make_example(NOTHING | {"a": 1.0}, {"new": 1.0})])
    figures = measure_figures(result.levels[0].counts, FEW)
    assert figures.names[-1] == "new"
    assert figures.shares[-1, 1] == 0.0
    assert "gold labels that the pipeline does not know: new (1)" in result.notes
