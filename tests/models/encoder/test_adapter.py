"""Adapters: what is trained next to the weights of an encoder."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, TEXTS, make_checkpoint
from thinc.api import fix_random_seed
from transformers import AutoModel

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.trainable import Lora, is_adapter
from spacy_bertft.models.heads.text import build_text_classifier
from spacy_bertft.training.optimizer import configure_adamw

pytest.importorskip("peft", reason="the extra peft is not installed")
make_doc = spacy.blank("en").make_doc
DOCS = [make_doc(text) for text in TEXTS]


def build(folder, adapter=None, pooling="mean", **settings):
    settings = {"precision": "fp32", **settings}
    model = build_text_classifier(build_bert_encoder(str(folder), adapter=adapter, **settings), pooling=pooling)
    model.n_labels = 3
    fix_random_seed(0)
    model.initialize()
    return model


def learn(model, n_steps=3):
    optimizer = configure_adamw(1e-2)
    for _ in range(n_steps):
        scores, backprop = model.begin_update(DOCS)
        backprop(np.ones_like(scores) * np.array([[1.0, -1.0, 0.5]]))
        model.finish_update(optimizer)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_at_first_it_changes_no_output_and_then_it_does(checkpoints, family, precision):
    plain = build(checkpoints(family), precision=precision)
    model = build(checkpoints(family), Lora(dropout=0.1), precision=precision)
    head = plain.module.state_dict()
    model.module.load_state_dict(head)
    np.testing.assert_allclose(model.predict(DOCS), plain.predict(DOCS), atol=1e-6)
    learn(model)
    model.module.load_state_dict(head)
    assert np.abs(model.predict(DOCS) - plain.predict(DOCS)).max() > 1e-2


def test_the_weights_of_the_encoder_stay_as_they_are_to_the_bit(checkpoint):
    model = build(checkpoint, Lora())
    bert = model.find_source().module.bert
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    scores, backprop = model.begin_update(DOCS)
    backprop(np.ones_like(scores))
    with_gradient = {name for name, parameter in bert.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name in before if is_adapter(name)}
    assert all(parameter.grad is not None for parameter in model.module.parameters())
    learn(model)
    changed = {name for name, tensor in bert.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == with_gradient


@pytest.mark.parametrize(
    ("targets", "n_layers"), [(None, 12), (["query", "value"], 4), (["attention.output.dense"], 2)]
)
def test_targets(checkpoint, targets, n_layers):
    """Of two layers of BERT, with six linear layers each."""
    bert = build(checkpoint, Lora(rank=3, targets=targets)).find_source().module
    shapes = [tuple(parameter.shape) for name, parameter in bert.named_parameters() if is_adapter(name)]
    assert len(shapes) == 2 * n_layers
    assert all(3 in shape for shape in shapes)


@pytest.mark.parametrize("bad", ["quary", "LayerNorm", "word_embeddings", "uery"])
def test_targets_that_are_no_linear_layers(checkpoint, bad):
    """Also next to one that is: nothing is left out in silence."""
    with pytest.raises(SettingError, match="linear layer") as caught:
        build(checkpoint, Lora(targets=["query", bad]))
    assert (caught.value.name, caught.value.value) == ("adapter.targets", bad)


@pytest.mark.parametrize(("setting", "value"), [("rank", 0), ("dropout", 1.0), ("save", "both")])
def test_settings_outside_of_what_is_allowed(setting, value):
    with pytest.raises(SettingError) as caught:
        Lora(**{setting: value})
    assert caught.value.name == f"adapter.{setting}"


def test_alpha_scales_what_was_learned(checkpoint):
    outputs = []
    for alpha in (0.0, 8.0):
        model = build(checkpoint, Lora(rank=8, alpha=alpha))
        for name, parameter in model.find_source().module.named_parameters():
            if is_adapter(name):
                torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
        outputs.append(model.encoder.predict(DOCS).vectors["mean"])
    expected = build(checkpoint).encoder.predict(DOCS).vectors["mean"]
    torch.testing.assert_close(outputs[0], expected, atol=1e-6, rtol=0)
    assert (outputs[1] - outputs[0]).abs().max() > 1e-3


def test_layers_that_are_frozen_do_not_learn_beside_an_adapter_either(checkpoint):
    model = build(checkpoint, Lora(), frozen_layers=1)
    bert = model.find_source().module
    learning = {name for name, parameter in bert.bert.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in bert.bert.named_parameters() if is_adapter(name) and ".layer.1." in name}
    bert.thaw(0)
    assert not bert.learns
    bert.thaw(9)
    assert {name for name, parameter in bert.bert.named_parameters() if parameter.requires_grad} == learning


def test_the_pooler_is_found_below_an_adapter(checkpoint):
    model = build(checkpoint, Lora(targets=["dense"]), pooling="cls")
    expected = AutoModel.from_pretrained(checkpoint).pooler.dense.weight
    assert torch.equal(model.module.pooler.weight, expected)


def test_a_checkpoint_with_a_head(tmp_path):
    """Its weights have other names, next to an adapter yet others."""
    folder = make_checkpoint(tmp_path, n_labels=3)
    plain, model = build(folder), build(folder, Lora())
    model.module.load_state_dict(plain.module.state_dict())
    np.testing.assert_allclose(model.predict(DOCS), plain.predict(DOCS), atol=1e-6)


def test_without_peft_the_error_names_the_extra(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[peft\]") as caught:
        build(checkpoint, Lora())
    assert caught.value.extra == "peft"
