"""Settings in `[training]` that spaCy's loop ignores, or with which it keeps an untrained pipeline."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import spacy
from resumed_runs import make_config, make_data
from spacy.cli.train import train as stock_train
from text_pipelines import CATS, make_examples, make_pipeline

from spacy_bertft.components.training import (
    End,
    TrainingConfigWarning,
    check_training,
    find_end,
    find_missing_scores,
    find_unknown_scores,
    warn_about_training,
)
from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.evaluate import evaluate_examples

FOREVER = {"max_steps": 0, "patience": 0, "max_epochs": 0, "eval_frequency": 10}


def find_problems(nlp, examples=()) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_training(nlp, lambda: examples)
    assert all(each.category is TrainingConfigWarning for each in caught)
    return [str(each.message) for each in caught]


def make_blank(*factories: str, **training):
    nlp = spacy.blank("en", config={"training": training})
    for factory in factories or ("bert_ner",):
        nlp.add_pipe(factory)
    return nlp


@pytest.mark.parametrize(
    ("training", "end"),
    [
        ({}, None),
        ({"max_steps": 20}, End(20, "max_steps")),
        ({"patience": 30}, End(30, "patience")),
        ({"patience": 30, "max_steps": 20}, End(20, "max_steps")),
        ({"patience": -1, "max_steps": 20}, End(0, "patience")),
        ({"max_steps": -1}, End(0, "max_steps")),
        ({"max_epochs": -1, "max_steps": 20}, End(20, "max_steps")),
    ],
)
def test_what_ends_a_training(training, end):
    assert find_end(FOREVER | training, lambda: []) == end


@pytest.mark.parametrize(("n_examples", "max_epochs"), [(1, 3), (7, 1), (20, 1), (20, 2), (10_000, 2)])
def test_the_batches_of_the_epochs_are_counted_as_far_as_they_are_needed(n_examples, max_epochs):
    read = []
    config = {"@batchers": "spacy.batch_by_sequence.v1", "size": 2, "get_length": None}
    training = FOREVER | {"max_epochs": max_epochs, "batcher": config}
    n_steps = -(-n_examples // 2) * max_epochs
    end = find_end(training, lambda: (read.append(n) or n for n in range(n_examples)))
    assert end.setting == "max_epochs"
    if n_steps <= 10:
        assert end.step == n_steps - 1 < 10
    else:
        assert end.step >= 10
    assert len(read) <= 25


def test_counting_draws_no_random_numbers(checkpoint):
    """Our batcher shuffles; a batcher that cannot be made is that of another machine, where nothing is said."""
    batcher = {"@batchers": "spacy-bertft.batch_by_pieces.v1", "encoder": checkpoint, "size": 20}
    nlp = make_blank("bert_textcat", max_epochs=1, max_steps=0, patience=0, eval_frequency=200, batcher=batcher)
    examples = make_examples(nlp, CATS["bert_textcat"])
    random.seed(0)
    np.random.seed(0)
    expected = random.random(), np.random.random()
    random.seed(0)
    np.random.seed(0)
    [problem] = find_problems(nlp, examples)
    assert (random.random(), np.random.random()) == expected
    assert problem.startswith("training.max_epochs = 1 ends training with step ")
    nlp.config["training"]["batcher"]["encoder"] = "no-such-folder"
    assert find_problems(nlp, examples) == []


def test_an_untrained_model_best_is_announced():
    [problem] = find_problems(make_blank(max_steps=100, eval_frequency=200))
    assert problem == (
        "training.max_steps = 100 ends training with step 100. Up to there spaCy evaluates only step 0 "
        "(eval_frequency = 200), so model-best will be untrained. Lower eval_frequency, or train with `spacy-bertft "
        "train`, which evaluates the last step."
    )
    [problem] = find_problems(make_blank(patience=-1))
    assert problem.startswith("training.patience = -1 ends training with step 0.")
    assert "Raise patience, or set it to 0, or train" in problem
    assert find_problems(make_blank(max_steps=200, eval_frequency=200)) == []


def test_spacy_train_warns(tmp_path):
    folder = make_data(tmp_path)
    changes = {"training.eval_frequency": 1000, "training.max_steps": 1, "training.score_weights": {"ents_ff": 1.0}}
    make_config(folder, changes).to_disk(tmp_path / "config.cfg", interpolate=False)
    with pytest.warns(TrainingConfigWarning) as caught:
        stock_train(tmp_path / "config.cfg", tmp_path / "out")
    unknown, untrained = (str(each.message) for each in caught if each.category is TrainingConfigWarning)
    assert unknown.startswith("training.score_weights: no component gives ents_ff, so spaCy ignores the weight")
    assert untrained.startswith("training.max_steps = 1 ends training with step 1.")


@pytest.mark.parametrize("factory", CATS)
def test_every_score_of_evaluate_can_have_a_weight(checkpoint, factory):
    """One that is a number; tables can be listed with null, and are in `meta.json` then."""
    nlp = make_pipeline(checkpoint, factory)
    nlp.add_pipe("sentencizer")
    scores = evaluate_examples(nlp, make_examples(nlp, CATS[factory])).scores
    numbers = {name for name, score in scores.items() if isinstance(score, (int, float))}
    assert {"cats_accuracy", "cats_calibration_error", "cats_macro_f", "token_acc", "speed"} <= numbers
    for name in numbers:
        nlp.config["training"]["score_weights"] = {name: 1.0}
        check_training(nlp)
        assert find_missing_scores(nlp, {name: 1.0}) == []
    tables = dict.fromkeys(scores.keys() - numbers)
    assert {"cats_support", "cats_confusion", "cats_f_per_type"} <= tables.keys()
    nlp.config["training"]["score_weights"] = tables
    check_training(nlp)
    assert find_problems(nlp) == []


def test_the_scores_of_evaluate_are_those_of_training(checkpoint):
    """What `spacy train` calls gives the same numbers, so that they choose the best pipeline."""
    nlp = make_pipeline(checkpoint, "bert_textcat", n_steps=3)
    examples = make_examples(nlp, CATS["bert_textcat"])
    in_training, evaluated = nlp.evaluate(examples), evaluate_examples(nlp, examples).scores
    assert in_training["cats_accuracy"] == evaluated["cats_accuracy"]
    assert {name: score for name, score in in_training.items() if name != "speed"} == {
        name: evaluated[name] for name in in_training if name != "speed"
    }


def test_an_unknown_score_is_an_error_that_lists_the_known_ones():
    nlp = make_blank("bert_textcat", score_weights={"cats_acuracy": 1.0, "cats_score": 0.0})
    with pytest.raises(SettingError) as caught:
        check_training(nlp)
    message = str(caught.value)
    assert message.startswith(
        "training.score_weights = 'cats_acuracy'. Expected scores that this pipeline gives: cats_"
    )
    assert " cats_accuracy, " in message
    assert " cats_macro_f, " in message
    assert "cats_confusion" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "weights",
    [
        {"cats_acuracy": None},
        {"cats_acuracy": 0.0},
        {"tag_acc": 0.5, "dep_las": 0.5},  # of components that this pipeline does not have
        {"spans_ruler_f": 1.0},  # which only its scorer knows
        {"ents_per_type": None, "cats_confusion": None},
    ],
)
def test_weights_that_are_allowed(weights):
    nlp = make_blank("bert_ner", "bert_textcat", "span_ruler", score_weights=weights)
    check_training(nlp)
    assert find_problems(nlp) == []


def test_a_table_has_no_weight():
    for name in ("cats_confusion", "cats_support", "cats_f_per_type", "cats_score_desc"):
        with pytest.raises(SettingError, match=f"score_weights = '{name}'. Expected null for what is no number"):
            check_training(make_blank("bert_textcat", score_weights={name: 1.0}))


def test_a_weight_of_a_component_that_is_not_there_is_told():
    nlp = make_blank("bert_ner")
    assert find_missing_scores(nlp, {"ents_f": 1.0, "tag_acc": 0.5, "dep_las": None}) == ["tag_acc"]


def test_a_scorer_that_needs_examples_leaves_what_is_known_open():
    nlp = make_blank("bert_textcat", score_weights={"share": 1.0})
    assert find_unknown_scores(nlp, {"share": 1.0}) == ["share"]
    nlp.get_pipe("bert_textcat").scorer = lambda examples, **cfg: {"share": 1 / len(examples)}
    assert find_unknown_scores(nlp, {"share": 1.0}) == []
    check_training(nlp)
