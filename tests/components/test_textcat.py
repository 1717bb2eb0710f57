"""`bert_textcat`: exclusive labels."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS, make_sentences
from spacy.training import Example
from text_pipelines import EXCLUSIVE, ONE, make_config, make_examples, make_pipeline
from thinc.api import fix_random_seed

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.training.optimizer import configure_adamw

TWO = {text: {"person": float(own == "person"), "rest": float(own != "person")} for text, own in ONE.items()}
ENTITIES = {TEXTS[0]: [(19, 33, "ACTOR")], TEXTS[4]: [(39, 51, "ACTOR")]}


@pytest.fixture(scope="module")
def nlp(checkpoint):
    return make_pipeline(checkpoint, "bert_textcat", n_steps=40)


def learn(nlp, cats):
    return nlp.update([Example.from_dict(nlp.make_doc("who directed it"), {"cats": cats})])


def test_probabilities_sum_to_one(nlp):
    texts = [*TEXTS, *make_sentences(20), "", " \n "]
    sums = [sum(doc.cats.values()) for doc in nlp.pipe(texts)]
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)
    assert max(nlp(TEXTS[0]).cats.values()) > 0.9


@pytest.mark.parametrize(
    "cats",
    [
        {"film": 1.0, "other": 1.0, "person": 0.0},
        {"film": 0.7, "other": 0.4},
        {"film": 1.5, "other": -0.5},
        {"film": float("nan")},
    ],
)
def test_gold_that_makes_no_sense(nlp, checkpoint, cats):
    before = nlp.get_pipe("bert_textcat").model.to_bytes()
    with pytest.raises(DataError, match="bert_textcat_multilabel"):
        learn(nlp, cats)
    assert nlp.get_pipe("bert_textcat").model.to_bytes() == before
    with pytest.raises(DataError, match=r"Expected one label at 1\.0"):
        make_pipeline(checkpoint, "bert_textcat", cats={**EXCLUSIVE, "both": cats})


@pytest.mark.parametrize("cats", [{"film": 0.5, "other": 0.5}, {"film": 0.2, "other": 0.3, "person": 0.5}])
def test_gold_may_be_soft(nlp, cats):
    scores = np.log([[cats.get(label, 1e-9) for label in ("film", "other", "person")]], dtype=np.float32)
    example = Example.from_dict(nlp.make_doc("a"), {"cats": cats})
    _, gradient = nlp.get_pipe("bert_textcat").get_loss([example], scores)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def test_the_label_alone_is_enough(nlp):
    """`{"film": 1.0}` says the same as with zeros for the others."""
    pipe, scores = nlp.get_pipe("bert_textcat"), np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    short, long = (
        pipe.get_loss([Example.from_dict(nlp.make_doc("a"), {"cats": cats})], scores)
        for cats in ({"film": 1.0}, {"film": 1.0, "other": 0.0, "person": 0.0})
    )
    assert short[0] == long[0] > 1
    np.testing.assert_array_equal(short[1], long[1])


def test_a_single_label_belongs_to_the_other_component(checkpoint):
    with pytest.raises(DataError, match="bert_textcat_multilabel"):
        make_pipeline(checkpoint, "bert_textcat", cats={"a": {"only": 1.0}, "b": {"only": 0.0}})


def test_positive_label(checkpoint, tmp_path):
    nlp = make_pipeline(checkpoint, "bert_textcat", cats=TWO, initialize={"positive_label": "person"})
    nlp.to_disk(tmp_path)
    examples = make_examples(nlp, TWO)
    scores = nlp.evaluate(examples)
    assert scores["cats_score_desc"] == "F (person)"
    assert scores["cats_score"] == scores["cats_f_per_type"]["person"]["f"]
    assert spacy.load(tmp_path).evaluate(examples)["cats_score_desc"] == "F (person)"
    assert make_pipeline(checkpoint, "bert_textcat", cats=TWO).evaluate(examples)["cats_score_desc"] == "macro F"


@pytest.mark.parametrize(("cats", "positive_label"), [(TWO, "film"), (EXCLUSIVE, "film")])
def test_a_positive_label_is_one_of_two(checkpoint, cats, positive_label):
    with pytest.raises(SettingError, match="one of two labels") as caught:
        make_pipeline(checkpoint, "bert_textcat", cats=cats, initialize={"positive_label": positive_label})
    assert (caught.value.name, caught.value.value) == ("positive_label", positive_label)


def test_the_best_label_counts_whatever_its_probability(nlp, tmp_path):
    """So does spaCy's scorer with its own `textcat`; one that asks for a threshold is given it."""
    nlp.to_disk(tmp_path)
    examples = make_examples(nlp, EXCLUSIVE)
    strict = spacy.load(tmp_path, config={"components.bert_textcat.threshold": 1.0})
    assert nlp.evaluate(examples)["cats_micro_f"] == strict.evaluate(examples)["cats_micro_f"] == 1.0
    pipe = strict.get_pipe("bert_textcat")
    pipe.scorer = lambda examples, **settings: settings
    assert pipe.score(examples)["threshold"] == 1.0
    assert pipe.score(examples, threshold=0.5)["threshold"] == 0.5


def test_weights_teach_to_prefer_a_label(checkpoint):
    """Texts that are all alike: what is predicted is the share of a label, by weight."""
    cats = {"the the": {"a": 1.0, "b": 0.0}, "the  the": {"a": 0.0, "b": 1.0}}
    probs = {}
    for weight in (1.0, 9.0):
        settings = {"class_weights": {"b": weight}, "encoder": {"frozen_layers": "all"}}
        nlp = make_pipeline(checkpoint, "bert_textcat", 100, cats=cats, **settings)
        probs[weight] = nlp("the the").cats["b"]
    assert probs[1.0] == pytest.approx(0.5, abs=0.05)
    assert probs[9.0] == pytest.approx(0.9, abs=0.05)


def test_smoothing_teaches_to_be_less_sure(checkpoint, nlp):
    smooth = make_pipeline(checkpoint, "bert_textcat", 40, label_smoothing=0.3)
    assert 0.5 < max(smooth(TEXTS[0]).cats.values()) == pytest.approx(0.8, abs=0.1)
    assert max(nlp(TEXTS[0]).cats.values()) > 0.9


def test_entities_and_categories_are_learned_in_one_pipeline(checkpoint):
    nlp = spacy.blank("en")
    model = {"encoder": {"name": checkpoint, "precision": "fp32"}, "token_loss": 0.0, "label_smoothing": 0.0}
    nlp.add_pipe("bert_ner", name="ner", config={"model": model})
    nlp.add_pipe("bert_textcat", name="mood", config=make_config(checkpoint))
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": cats, "entities": ENTITIES.get(text, [])})
        for text, cats in EXCLUSIVE.items()
    ]
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer, totals = configure_adamw(5e-3), []
    for _ in range(40):
        losses = nlp.update(examples, sgd=optimizer)
        totals.append(losses)
    assert losses.keys() == {"ner", "mood"}
    assert all(totals[-1][name] < 0.1 * totals[0][name] for name in losses)
    scores = nlp.evaluate(examples)
    assert scores["ents_f"] == scores["cats_macro_f"] == 1.0
    doc = nlp(TEXTS[0])
    assert [ent.text for ent in doc.ents] == ["drew barrymore"]
    assert max(doc.cats, key=doc.cats.get) == "film"
