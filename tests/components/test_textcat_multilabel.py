"""`bert_textcat_multilabel`: labels that may hold together."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.training import Example
from text_pipelines import MULTILABEL, WORDS, choose, make_examples, make_pipeline

from spacy_bertft.errors import DataError

NAME = "bert_textcat_multilabel"
SCORES = np.array([[1.0, -2.0, 0.5]], dtype=np.float32)


@pytest.fixture(scope="module")
def nlp(checkpoint):
    return make_pipeline(checkpoint, NAME, n_steps=40)


def compute_loss(nlp, *cats):
    examples = [Example.from_dict(nlp.make_doc("a"), {"cats": each}) for each in cats]
    return nlp.get_pipe(NAME).get_loss(examples, SCORES.repeat(len(cats), axis=0))


def test_each_label_has_a_probability_of_its_own(nlp):
    both, neither = nlp(TEXTS[4]).cats, nlp(TEXTS[2]).cats
    assert both["and"] > 0.9 < both["the"]
    assert sum(both.values()) > 1.8
    assert sum(neither.values()) < 0.5


def test_probabilities_do_not_depend_on_the_other_labels(checkpoint, nlp):
    """The losses of two labels are learned next to each other."""
    fewer = make_pipeline(checkpoint, NAME, 40, cats={text: {"and": cats["and"]} for text, cats in MULTILABEL.items()})
    assert [choose(doc)["and"] for doc in fewer.pipe(TEXTS)] == [cats["and"] for cats in MULTILABEL.values()]
    assert list(fewer("a").cats) == ["and"]


@pytest.mark.parametrize("cats", [{"and": 1.5}, {"and": -0.1, "me": 1.0}, {"the": float("nan")}])
def test_gold_outside_of_what_is_allowed(nlp, checkpoint, cats):
    with pytest.raises(DataError, match=r"from 0\.0 to 1\.0"):
        compute_loss(nlp, cats)
    with pytest.raises(DataError, match=r"from 0\.0 to 1\.0"):
        make_pipeline(checkpoint, NAME, cats={"a": cats})


def test_a_label_that_is_not_given_is_unknown(nlp):
    loss, gradient = compute_loss(nlp, {"and": 1.0})
    assert loss == pytest.approx(np.log1p(np.exp(-1.0)))
    assert gradient[0, 0] == pytest.approx(-1 / (1 + np.exp(1.0)))
    assert not gradient[0, 1:].any()
    whole, _ = compute_loss(nlp, {"and": 1.0, "me": 0.0, "the": 0.0})
    assert whole == pytest.approx(np.mean([np.log1p(np.exp(each)) for each in (-1.0, -2.0, 0.5)]))
    assert compute_loss(nlp, {"and": 1.0}, {}, {"me": 0.0})[0] == pytest.approx(
        np.mean([np.log1p(np.exp(each)) for each in (-1.0, -2.0)])
    )


def test_documents_that_do_not_know_a_label_do_not_weigh_on_it(checkpoint):
    cats = {f"{number} a": {"and": 1.0} if number % 2 else {"and": 0.0, "me": float(number < 3)} for number in range(8)}
    nlp = make_pipeline(checkpoint, NAME, cats=cats, class_weights="balanced")
    assert dict(zip(nlp.get_pipe(NAME).labels, nlp.get_pipe(NAME).cfg["label_weights"], strict=True)) == {
        "and": 1.0,  # 4 of 8
        "me": 1.0,  # 2 of 4
    }


def test_the_threshold_is_the_scorers(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    examples = make_examples(nlp, MULTILABEL)
    assert nlp.evaluate(examples)["cats_macro_f"] == 1.0
    for threshold, recall in ((0.0, 1.0), (1.0, 0.0)):
        loaded = spacy.load(tmp_path, config={f"components.{NAME}.threshold": threshold})
        scores = loaded.evaluate(examples)
        assert scores["cats_micro_r"] == recall
        assert scores["cats_micro_f"] < 1.0
        assert scores["cats_macro_auc"] == 1.0


def test_weights_raise_the_probability_of_a_label(checkpoint):
    """Texts that are all alike: what is predicted is the share of a label, by weight."""
    cats = {"the the": {"a": 1.0, "b": 1.0}, "the  the": {"a": 0.0, "b": 0.0}}
    settings = {"class_weights": {"b": 9.0}, "encoder": {"frozen_layers": "all"}}
    nlp = make_pipeline(checkpoint, NAME, 100, cats=cats, **settings)
    assert nlp("the the").cats == pytest.approx({"a": 0.5, "b": 0.9}, abs=0.05)


def test_smoothing_moves_every_label_towards_one_half(checkpoint):
    nlp = make_pipeline(checkpoint, NAME, 60, label_smoothing=0.4)
    for text, cats in MULTILABEL.items():
        assert nlp(text).cats == pytest.approx({label: 0.2 + 0.6 * cats[label] for label in WORDS}, abs=0.1)


def test_labels_that_are_never_0_are_named(checkpoint):
    """A label that is only ever 1 is predicted for every text, and its F1 is 1."""
    cats = {"a": {"and": 1.0, "the": 0.0}, "b": {"and": 1.0, "me": 1.0}}
    with pytest.warns(UserWarning, match=r"always hold: and, me \(2 of 3\)"):
        make_pipeline(checkpoint, NAME, cats=cats)
