"""The scorers of categories against scikit-learn and spaCy, and where spaCy's own is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, matthews_corrcoef, precision_recall_fscore_support
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.category_scores import (
    UnknownLabelsWarning,
    configure_textcat_multilabel_scorer,
    configure_textcat_scorer,
)
from spacy_bertft.errors import DataError

nlp = spacy.blank("en")
LABELS = ("a", "b", "c")
score_classes, score_labels = configure_textcat_scorer(), configure_textcat_multilabel_scorer()


def make_example(predicted: dict[str, float], gold: dict[str, float]) -> Example:
    docs = [Doc(nlp.vocab, words=["word"]) for _ in range(2)]
    for doc, cats in zip(docs, (predicted, gold), strict=True):
        doc.cats = dict(cats)
    return Example(*docs)


def hold(label: str | None, labels: tuple[str, ...] = LABELS) -> dict[str, float]:
    """Make values as `convert` writes them: 1 for one label, 0 for the others."""
    return dict.fromkeys(labels, 0.0) | ({} if label is None else {label: 1.0})


@pytest.mark.filterwarnings("ignore:A single label was found in 'y_true' and 'y_pred'")
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "new", "newer"])), min_size=1))
def test_scores_are_those_of_scikit_learn_with_classes_that_the_component_lacks_too(pairs):
    scores = score_classes([make_example(hold(predicted), hold(gold)) for predicted, gold in pairs], labels=LABELS)
    predicted, gold = zip(*pairs, strict=True)
    classes = [*LABELS, *sorted(set(gold) - set(LABELS))]
    by_class = precision_recall_fscore_support(gold, predicted, labels=classes, zero_division=0)
    for label, *expected, support in zip(classes, *by_class, strict=True):
        assert list(scores["cats_f_per_type"][label].values()) == pytest.approx(expected)
        assert scores["cats_support"][label] == support
    for average in ("macro", "micro"):
        expected = precision_recall_fscore_support(gold, predicted, labels=classes, average=average, zero_division=0)
        assert [scores[f"cats_{average}_{key}"] for key in "prf"] == pytest.approx(expected[:3])
    matrix = confusion_matrix(gold, predicted, labels=classes).tolist()
    assert scores["cats_confusion"] == {"labels": classes, "matrix": matrix}
    assert scores["cats_accuracy"] == pytest.approx(np.mean([left == right for left, right in pairs]))
    assert scores["cats_score"] == scores["cats_macro_f"]
    assert scores["cats_matthews"] == pytest.approx(matthews_corrcoef(gold, predicted))


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_where_all_classes_are_known_scores_are_those_of_spacy(pairs):
    examples = [make_example(hold(predicted), hold(gold)) for predicted, gold in pairs]
    expected = Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=False)
    scores = score_classes(examples, labels=LABELS)
    assert {key: scores[key] for key in expected} == expected


def test_a_text_without_a_gold_class_is_no_error():
    examples = [make_example(hold("a"), hold("a")), make_example(hold("b"), hold(None)), make_example(hold("b"), {})]
    scores = score_classes(examples, labels=LABELS)
    assert scores["cats_micro_p"] == scores["cats_micro_r"] == scores["cats_accuracy"] == 1.0
    assert scores["cats_support"] == {"a": 1, "b": 0, "c": 0}


def test_labels_of_another_component_are_left_out():
    """What another component has written to `doc.cats` is not unknown; nor is a second annotation of a known text."""
    both = {**hold("a"), "film": 0.1, "food": 0.9}
    examples = [make_example(both, {"film": 0.0, "food": 1.0}), make_example(both, {**hold("a"), "tone": 1.0})]
    scores = score_classes(examples, labels=LABELS)
    assert scores["cats_confusion"] == {"labels": list(LABELS), "matrix": [[1, 0, 0], [0, 0, 0], [0, 0, 0]]}


def test_the_positive_label():
    predicted, gold = hold("spam", ("ham", "spam")), hold("new", ("ham", "spam"))
    right = make_example(predicted, predicted)
    scores = score_classes([right, make_example(predicted, gold)], labels=("ham", "spam"), positive_label="spam")
    assert (scores["cats_score"], scores["cats_score_desc"]) == (pytest.approx(2 / 3), "F (spam)")


def test_labels_that_may_hold_together_are_those_of_spacy_and_more():
    examples = [
        make_example({"a": 0.9, "b": 0.9, "c": 0.1}, {"a": 1.0, "b": 0.0, "c": 0.0}),
        make_example({"a": 0.9, "b": 0.1, "c": 0.1}, {"a": 1.0, "new": 1.0}),
        make_example({"a": 0.1, "b": 0.1, "c": 0.1}, {"new": 1.0}),
    ]
    scores = score_labels(examples, labels=LABELS, threshold=0.5)
    expected = Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=True, threshold=0.5)
    assert {key: scores[key] for key in expected} == expected
    assert scores["cats_accuracy"] == 0.5
    assert scores["cats_support"] == {"a": 2, "b": 0, "c": 0, "new": 2}


def test_a_text_that_was_not_annotated_is_an_error():
    with pytest.raises(DataError, match=r"'word ' has no predicted category\. Expected one of a, b, c"):
        score_classes([make_example({}, hold("a"))], labels=LABELS)


@pytest.mark.parametrize(
    ("factory", "scorer", "advice"),
    [
        ("bert_textcat", None, "A text that has no other label is scored as an error."),
        ("bert_textcat", "spacy.textcat_scorer.v2", "spaCy's scorer counts such a text for another label; use spacy-"),
        ("bert_textcat_multilabel", None, "They are left out of the scores."),
    ],
)
def test_a_component_names_unknown_labels_whatever_its_scorer(factory, scorer, advice):
    config = {} if scorer is None else {"scorer": {"@scorers": scorer}}
    component = spacy.blank("en").add_pipe(factory, config=config)
    for label in LABELS:
        component.add_label(label)
    examples = [make_example(hold("a"), hold(gold)) for gold in ("a", "new", "new", "b")]
    with pytest.warns(UnknownLabelsWarning) as caught:
        scores = component.score(examples)
    [message] = [str(each.message) for each in caught]
    assert message.startswith(f"{factory}: texts have gold labels that no component of the pipeline has: new (2). ")
    assert advice in message
    assert "cats_calibration_error" in scores
    if factory == "bert_textcat":
        # Of four texts that were predicted as a one is right. spaCy takes three for right.
        assert scores["cats_f_per_type"]["a"]["p"] == (0.25 if scorer is None else 0.75)
