"""`bert_regressor`: numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from taught_pipelines import SHARED
from text_pipelines import make_config, make_examples, make_pipeline

from spacy_bertft.components.number_scores import configure_number_scorer, rank
from spacy_bertft.components.regressor import BertRegressor
from spacy_bertft.components.text_component import list_labels_of_neighbours
from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.training.optimizer import configure_adamw

NAME = "bert_regressor"
# One number is large, and one is not known of two texts.
VALUES = [{"price": 1000.0 * i, "stars": float(i % 3)} if i < 3 else {"price": 1000.0 * i} for i in range(5)]
NUMBERS = dict(zip(TEXTS, VALUES, strict=True))


@pytest.fixture(scope="module")
def nlp(checkpoint):
    return make_pipeline(checkpoint, NAME, n_steps=80, cats=NUMBERS)


def read(docs):
    return [[doc.cats["price"], doc.cats["stars"]] for doc in docs]


def test_numbers_of_any_size_are_learned_together(nlp):
    for doc, gold in zip(nlp.pipe(TEXTS), VALUES, strict=True):
        assert doc.cats["price"] == pytest.approx(gold["price"], abs=400)
        assert doc.cats["stars"] == pytest.approx(gold.get("stars", doc.cats["stars"]), abs=0.3)
        assert doc._.price == doc.cats["price"]
    assert nlp.make_doc("a")._.price is None
    scores = nlp.evaluate(make_examples(nlp, NUMBERS))
    assert scores["numbers_pearson"] > 0.95 < scores["numbers_spearman"]
    assert scores["numbers_per_type"]["stars"]["support"] == 3


def test_an_untrained_component_predicts_the_mean(checkpoint):
    fresh = make_pipeline(checkpoint, NAME, cats=NUMBERS)
    cats = fresh(TEXTS[0]).cats
    assert cats["price"] == pytest.approx(2000.0, abs=600)
    assert cats["stars"] == pytest.approx(1.0, abs=0.4)
    pipe = fresh.get_pipe(NAME)
    pipe.model.module.linear.weight.data.zero_()
    assert read([fresh("a")]) == [[2000.0, 1.0]]


def test_the_loss_is_the_squared_error_in_deviations(nlp):
    """By hand: `price` has the mean 2000 and the deviation 1414.2, `stars` 1 and 0.8165; the last is not known."""
    pipe = nlp.get_pipe(NAME)
    examples = make_examples(nlp, dict(list(NUMBERS.items())[2:4]))
    scores = np.array([[0.5, 0.0], [0.0, 9.0]], dtype=np.float32)
    loss, gradient = pipe.get_loss(examples, scores)
    errors = np.array([[0.5, -1 / np.std([0, 1, 2])], [-1000 / np.std(np.arange(0, 5000, 1000)), 0.0]])
    assert loss == pytest.approx((errors**2).sum() / 3)
    np.testing.assert_allclose(gradient, 2 * errors / 3)
    predicted = pipe.predict([example.predicted for example in examples])
    expected = pipe.get_loss(examples, pipe.model.predict([example.predicted for example in examples]))
    assert pipe.get_loss(examples, predicted)[0] == pytest.approx(expected[0], rel=1e-5)


@pytest.mark.parametrize("cats", [{"price": float("nan")}, {"stars": float("inf")}])
def test_gold_that_is_no_number(nlp, checkpoint, cats):
    with pytest.raises(DataError, match="Expected finite numbers"):
        nlp.update([Example.from_dict(nlp.make_doc("a"), {"cats": cats})])
    with pytest.raises(DataError, match="Expected finite numbers"):
        make_pipeline(checkpoint, NAME, cats={"a": cats})


@pytest.mark.parametrize(
    ("cats", "problem"),
    [({"a": {"x": 3.0}, "b": {"x": 3.0}}, "'x' is 3 in all examples"), ({"a": {"y": 1.0}}, "no example has 'x'")],
)
def test_numbers_that_cannot_be_learned_are_named(checkpoint, cats, problem):
    with pytest.warns(UserWarning, match=problem):
        nlp = make_pipeline(checkpoint, NAME, cats=cats, initialize={"labels": ["x"]})
    assert nlp.get_pipe(NAME).cfg["deviations"] == [1.0]


def test_round_trips(nlp, checkpoint, tmp_path):
    expected = read(nlp.pipe(TEXTS))
    nlp.to_disk(tmp_path)
    assert read(spacy.load(tmp_path).pipe(TEXTS)) == expected
    other = make_pipeline(checkpoint, NAME, cats={"a": {"price": 7.0, "stars": 1.0}, "b": {"price": 8.0, "stars": 0.0}})
    assert read(other.from_bytes(nlp.to_bytes()).pipe(TEXTS)) == expected
    copied = pickle.loads(pickle.dumps(nlp.get_pipe(NAME)))
    np.testing.assert_allclose(copied.predict([nlp.make_doc(text) for text in TEXTS]), expected, rtol=1e-5)
    [stored] = DocBin().from_bytes(DocBin(docs=[nlp(TEXTS[0])]).to_bytes()).get_docs(nlp.vocab)
    assert stored._.price == pytest.approx(expected[0][0], rel=1e-5)
    (tmp_path / NAME / "cfg").write_text('{"labels": ["price", "stars"], "means": [1, 2], "deviations": [1, 0]}')
    with pytest.raises(CheckpointError, match="deviations above 0"):
        spacy.load(tmp_path)


def test_long_texts_and_empty_ones(nlp):
    """The mean over windows is that of numbers."""
    long = nlp.make_doc(" ".join(TEXTS * 12))
    values = np.array(read(nlp.pipe([long, nlp.make_doc(""), nlp.make_doc(" ")])))
    assert np.isfinite(values).all()
    assert 0 < values[0, 0] < 4000


def test_new_numbers_and_rehearsal(checkpoint, nlp, tmp_path):
    nlp.to_disk(tmp_path)
    other = spacy.load(tmp_path)
    pipe: BertRegressor = other.get_pipe(NAME)
    optimizer, before = other.resume_training(), read(other.pipe(TEXTS))
    new = {text: {"size": 100.0 + i} for i, text in enumerate(TEXTS)}
    pipe.add_labels(["size"], lambda: make_examples(other, new))
    assert read(other.pipe(TEXTS)) == before
    assert other(TEXTS[0])._.size == pytest.approx(102.0)
    assert pipe.add_label("later") == 1
    assert other(TEXTS[0])._.later == 0.0
    optimizer = configure_adamw(3e-3)
    for _ in range(40):
        losses = pipe.distill(make_examples(other, new), labels=["size"], sgd=optimizer)
    assert losses[NAME] < 0.1
    np.testing.assert_allclose(read(other.pipe(TEXTS)), before, atol=500)
    assert [doc._.size for doc in other.pipe(TEXTS)] == pytest.approx([100, 101, 102, 103, 104], abs=1.0)
    assert pipe.rehearse(make_examples(other, new))[NAME] < 0.1


def test_an_attribute_of_the_user_is_left_alone(checkpoint):
    Doc.set_extension("taken", default="mine", force=True)
    try:
        with pytest.warns(UserWarning, match=r"doc\._\.taken is already registered.*doc\.cats\['taken'\]"):
            nlp = make_pipeline(checkpoint, NAME, cats={"a": {"taken": 1.0}, "b": {"taken": 2.0}})
        doc = nlp("a")
        assert doc._.taken == "mine" != doc.cats["taken"]
    finally:
        Doc.remove_extension("taken")


# Next to categories.

MIXED = [
    {"cats": {"film": float(i % 2), "other": float(1 - i % 2), "price": 1000.0 * i, "stars": 0.5 * (i % 3)}}
    for i in range(5)
]


def make_mixed(checkpoint, numbers=("price", "stars"), classes=("film", "other"), other="bert_textcat"):
    """Make a pipeline of entities, categories and numbers on one encoder, and give the labels of some in its config."""
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    for name in ("bert_ner", other, NAME):
        config = {} if name == "textcat" else {"model": {"encoder": SHARED, "dropout": 0.0}}
        nlp.add_pipe(name, config=config)
    given = {other: classes, NAME: numbers}
    nlp.config["initialize"]["components"] |= {
        name: {"labels": list(labels)} for name, labels in given.items() if labels is not None
    }
    examples = [
        Example.from_dict(nlp.make_doc(text), {**gold, "entities": [(0, len(text.split()[0]), "START")]})
        for text, gold in zip(TEXTS, MIXED, strict=True)
    ]
    return nlp, examples


def test_entities_categories_and_numbers_are_learned_on_one_encoder(checkpoint, tmp_path):
    nlp, examples = make_mixed(checkpoint)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    with pytest.warns(UserWarning, match="not among the labels that were given"):
        nlp.update(examples, sgd=optimizer)
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    textcat, regressor = nlp.get_pipe("bert_textcat"), nlp.get_pipe(NAME)
    assert (textcat.labels, regressor.labels) == (("film", "other"), ("price", "stars"))
    # As `extend` and `add_labels.v1` look for new labels.
    assert textcat.find_labels(examples, list_labels_of_neighbours(nlp, textcat)) == ["film", "other"]
    assert regressor.find_labels(examples, list_labels_of_neighbours(nlp, regressor)) == ["price", "stars"]
    with nlp.select_pipes(disable=[NAME]):  # as while spaCy initializes others
        assert list_labels_of_neighbours(nlp, textcat) == {"price", "stars"}
    nlp.to_disk(tmp_path)
    scores = spacy.load(tmp_path).evaluate(examples)
    assert scores["cats_macro_f"] == scores["ents_f"] == 1.0
    assert set(scores["cats_f_per_type"]) == {"film", "other"}
    assert scores["cats_calibration_error"] < 0.1
    assert set(scores["numbers_per_type"]) == {"price", "stars"}
    assert scores["numbers_pearson"] > 0.95


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"numbers": None}, rf"components\.{NAME}\.labels.*bert_textcat both read doc\.cats"),
        ({"classes": None}, rf"components\.bert_textcat\.labels.*{NAME} both read doc\.cats"),
        ({"numbers": ["price", "film"]}, "film"),
        ({"classes": None, "other": "textcat"}, r"components\.textcat\.labels"),
    ],
)
def test_whether_a_value_is_a_category_or_a_number_is_never_guessed(checkpoint, labels, problem):
    nlp, examples = make_mixed(checkpoint, **labels)
    if labels.get("other") == "textcat":
        nlp.get_pipe("textcat").initialize = lambda *_, **__: None  # it would read the numbers as labels
    with pytest.raises(SettingError, match=problem):
        nlp.initialize(lambda: examples)


def test_two_regressors_write_different_numbers(checkpoint):
    nlp = spacy.blank("en")
    for name, labels in (("first", ["price"]), ("second", ["price", "stars"])):
        nlp.add_pipe(NAME, name=name, config=make_config(checkpoint))
        nlp.config["initialize"]["components"][name] = {"labels": labels}
    with pytest.raises(SettingError, match="other names than those of"):
        nlp.initialize(lambda: make_examples(nlp, NUMBERS))


# Scores.


def score(gold, predicted):
    nlp = spacy.blank("en")
    examples = [Example.from_dict(nlp.make_doc("a"), {"cats": {} if g is None else {"x": g}}) for g in gold]
    for example, value in zip(examples, predicted, strict=True):
        example.predicted.cats = {"x": value} if value is not None else {}
    return configure_number_scorer()(examples, labels=["x"])


def test_scores_by_hand():
    scores = score([1.0, None, 2.0, 3.0, 4.0], [1.0, 99.0, 2.0, 4.0, 3.0])
    assert scores["numbers_pearson"] == scores["numbers_spearman"] == pytest.approx(0.8)
    assert scores["numbers_mse"] == 0.5
    assert rank(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [([1.0, 2.0], [5.0, 5.0], 0.0), ([1.0, 1.0], [1.0, 2.0], None), ([None], [1.0], None), ([], [], None)],
)
def test_correlations_that_are_not_defined(gold, predicted, expected):
    assert score(gold, predicted)["numbers_pearson"] == score(gold, predicted)["numbers_spearman"] == expected


def test_a_text_without_prediction_is_an_error():
    with pytest.raises(DataError, match="has no predicted 'x'"):
        score([1.0], [None])
