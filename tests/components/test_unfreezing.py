"""Layers that begin to learn one after the other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import spacy
import torch
from small_checkpoints import make_checkpoint
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from text_pipelines import EXCLUSIVE, make_config, make_examples, make_pipeline

from spacy_bertft.components.training import configure_gradual_unfreezing
from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.trainable import find_depth

SEEN: list[dict[str, torch.Tensor]] = []  # the weights in the course of a training run
CALLBACK = {
    "@callbacks": "spacy-bertft.gradual_unfreezing.v1",
    "component": "textcat",
    "every": 2,
    "unit": "steps",
}
CONFIG = Path(__file__).parent.parent.parent / "configs" / "textcat.cfg"


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> str:
    """Give the folder of a small random BERT of four layers."""
    return str(make_checkpoint(tmp_path_factory.mktemp("deep"), num_hidden_layers=4))


def copy_weights(nlp, name="textcat"):
    return {key: tensor.detach().clone() for key, tensor in find(nlp, name).named_parameters()}


def find(nlp, name="bert_textcat"):
    bert = nlp.get_pipe(name).model.find_source().module
    assert bert is not None
    return bert.bert


def list_learning(nlp) -> list[int]:
    """List the depths at which something learns: 0 for the embeddings, 5 for what is above four layers."""
    names = [name for name, parameter in find(nlp).named_parameters() if parameter.requires_grad]
    return sorted({find_depth(name, 4) for name in names})


def list_moved(before, after) -> list[int]:
    """List the depths at which weights are others; the pooler, which has no part in the mean, left out."""
    changed = [name for name, tensor in after.items() if not torch.equal(before[name], tensor)]
    assert not any("pooler" in name for name in changed)
    return sorted({find_depth(name, 4) for name in changed})


@pytest.mark.parametrize(("unit", "key", "other"), [("epochs", "epoch", "step"), ("steps", "step", "epoch")])
def test_the_order_of_layers(deep, unit, key, other):
    nlp = make_pipeline(deep, "bert_textcat")
    callback = configure_gradual_unfreezing("bert_textcat", every=2, unit=unit)
    learning = []
    for number in range(13):
        callback(nlp, {key: number, other: 1000})
        learning.append(list_learning(nlp))
    order = [[], [4, 5], [3, 4, 5], [2, 3, 4, 5], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
    assert learning == [each for each in order for _ in range(2)] + [order[-1]]


@pytest.mark.parametrize(
    ("frozen_layers", "last"),
    [
        ("none", [0, 1, 2, 3, 4, 5]),
        ("embeddings", [1, 2, 3, 4, 5]),
        (2, [3, 4, 5]),
        ("all_but_last", [4, 5]),
        ("all", []),
    ],
)
def test_what_is_frozen_never_joins(deep, frozen_layers, last):
    nlp = make_pipeline(deep, "bert_textcat", encoder={"frozen_layers": frozen_layers})
    callback = configure_gradual_unfreezing("bert_textcat")
    for epoch in range(10):
        callback(nlp, {"epoch": epoch, "step": 0})
        assert set(list_learning(nlp)) <= set(last)
    assert list_learning(nlp) == last


def test_another_component_is_left_alone(deep):
    nlp = make_pipeline(deep, "bert_textcat")
    nlp.add_pipe("bert_textcat", name="second", config=make_config(deep))
    nlp.get_pipe("second").initialize(lambda: make_examples(nlp, EXCLUSIVE))
    configure_gradual_unfreezing("second")(nlp, {"epoch": 0, "step": 0})
    assert not any(parameter.requires_grad for parameter in find(nlp, "second").parameters())
    assert list_learning(nlp) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("component", ["ner", "sentencizer"])
def test_a_component_that_is_not_there_or_has_no_encoder(deep, component):
    nlp = make_pipeline(deep, "bert_textcat")
    nlp.add_pipe("sentencizer")
    with pytest.raises(SettingError, match="bert_textcat") as caught:
        configure_gradual_unfreezing(component)(nlp, {"epoch": 0, "step": 0})
    assert (caught.value.name, caught.value.value) == ("component", component)
    with pytest.raises(SettingError, match="has none"):
        configure_gradual_unfreezing(component)(spacy.blank("en"), {"epoch": 0, "step": 0})


@pytest.mark.parametrize(("setting", "value"), [("every", 0), ("unit", "batches")])
def test_settings_outside_of_what_is_allowed(setting, value):
    with pytest.raises(SettingError) as caught:
        configure_gradual_unfreezing("textcat", **{setting: value})
    assert caught.value.name == setting


@spacy.registry.loggers("test-recorder.v1")
def configure_recorder():
    """Record the weights at the start and after each step."""
    SEEN.clear()

    def set_up(nlp, stdout, stderr):
        SEEN.append(copy_weights(nlp))
        return (lambda info: SEEN.append(copy_weights(nlp))), (lambda: None)

    return set_up


def run_spacy_train(tmp_path, encoder, n_steps, frozen="none", decay=0.0) -> None:
    """Do what `spacy train` does, with the callback in the config."""
    docs = [example.reference for example in make_examples(spacy.blank("en"), EXCLUSIVE)]
    DocBin(docs=docs).to_disk(tmp_path / "corpus.spacy")
    settings = {
        "paths.train": str(tmp_path / "corpus.spacy"),
        "paths.dev": str(tmp_path / "corpus.spacy"),
        "paths.encoder": encoder,
        "components.textcat.model.encoder.precision": "fp32",
        "components.textcat.model.encoder.frozen_layers": frozen,
        "training.max_steps": n_steps - 1,  # spaCy counts from 0, and stops after it
        "training.eval_frequency": 1,
        "training.optimizer.weight_decay": 0.0,
        "training.optimizer.average_decay": decay,
        "training.before_update": CALLBACK,
    }
    config = load_config(CONFIG, overrides=settings)
    # Sections are no settings to confection before 1.0.
    config["training"]["optimizer"]["learn_rate"] = 0.01
    config["training"]["logger"] = {"@loggers": "test-recorder.v1"}
    nlp = init_nlp(config)
    train(nlp, tmp_path)


@pytest.mark.everyday(1)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_as_a_callback_of_spacy_train(deep, tmp_path, decay):
    """New layers move in the step in which they join, those below are the same to the bit."""
    run_spacy_train(tmp_path, deep, n_steps=11, decay=decay)
    moved = [list_moved(before, after) for before, after in pairwise(SEEN)]
    order = [[], [4], [3, 4], [2, 3, 4], [1, 2, 3, 4]]
    assert moved == [each for each in order for _ in range(2)] + [[0, 1, 2, 3, 4]]


def test_what_is_saved_is_averaged_where_something_learned(deep, tmp_path):
    run_spacy_train(tmp_path, deep, n_steps=6, decay=0.9)
    stored = copy_weights(spacy.load(tmp_path / "model-last"))
    assert list_moved(SEEN[0], stored) == list_moved(SEEN[-1], stored) == [3, 4]


@pytest.mark.slow
def test_frozen_layers_stay_as_they_are_in_spacy_train(deep, tmp_path):
    run_spacy_train(tmp_path, deep, n_steps=11, frozen="3", decay=0.9)
    assert list_moved(SEEN[0], SEEN[-1]) == [4]
    assert list_moved(SEEN[0], copy_weights(spacy.load(tmp_path / "model-last"))) == [4]
