"""The features that heads see, against hidden states of transformers."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, find_first_pieces, make_checkpoint
from transformers import AutoModel

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.module import Layers, ScalarMix, count_features, select_states
from spacy_bertft.models.heads.losses import TokenGradient
from spacy_bertft.models.heads.text import build_text_classifier
from spacy_bertft.models.heads.token import build_token_classifier
from spacy_bertft.tags.forward_backward import build_free_chain
from spacy_bertft.training.optimizer import configure_adamw

LAYERS = get_args(Layers)

nlp = spacy.blank("en")
DEEP = {
    "bert": {"num_hidden_layers": 4},
    "distilbert": {"n_layers": 4, "num_hidden_layers": 4},
    "roberta": {"num_hidden_layers": 4},
}
CHOICES = {
    "last": lambda states: states[4],
    "second_to_last": lambda states: states[3],
    "sum_last_four": lambda states: states[1] + states[2] + states[3] + states[4],
    "concat_last_four": lambda states: torch.cat([states[1], states[2], states[3], states[4]], dim=-1),
    "scalar_mix": lambda states: sum(states) / 5,
    "all": lambda states: torch.cat(tuple(states), dim=-1),
}
WIDTHS = {"concat_last_four": 128, "all": 160}


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Give the folder of a small random checkpoint of four layers, made once per family."""
    return {family: make_checkpoint(tmp_path_factory.mktemp(family), family, **sizes) for family, sizes in DEEP.items()}


def make_docs():
    return [nlp.make_doc(text) for text in [TEXTS[0], "", *TEXTS[1:]]]


def build(folder, layers, *outputs, **settings):
    model = build_bert_encoder(str(folder), layers=layers, **{"precision": "fp32", **settings})
    for output in outputs:
        model.require(output)
    model.initialize()
    return model


def build_classifier(folder, layers="scalar_mix", pooling="mean", **settings):
    model = build_text_classifier(build(folder, layers, **settings), pooling=pooling)
    model.n_labels = 3
    model.initialize()
    return model


def read_states(folder, doc):
    """Run transformers on one text, `(P, H)` of the embeddings and each layer, special pieces included."""
    tokenizer = read_tokenizer(str(folder))
    pieces = tokenizer.encode([doc.text])
    ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
    bert = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = bert(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return [state[0] for state in states], [1 + piece for piece in find_first_pieces(pieces, doc)]


@pytest.mark.everyday(5)
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("family", DEEP)
def test_features_are_hidden_states_of_transformers(deep, family, layers):
    docs = make_docs()
    model = build(deep[family], layers, "tokens", "first", "mean")
    encoded = model.predict(docs)
    assert model.get_dim("nO") == encoded.vectors["tokens"].shape[1] == WIDTHS.get(layers, 32)
    by_doc = encoded.vectors["tokens"].split(encoded.lengths.tolist())
    for index, doc in enumerate(docs):
        states, rows = read_states(deep[family], doc)
        features = CHOICES[layers](states)
        torch.testing.assert_close(by_doc[index], features[rows], atol=1e-5, rtol=0)
        torch.testing.assert_close(encoded.vectors["first"][index], features[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(encoded.vectors["mean"][index], features.mean(dim=0), atol=1e-5, rtol=0)


def test_by_hand():
    states = [torch.full((1, 1, 1), float(layer)) for layer in range(6)]
    chosen = {layers: select_states(states, layers).flatten().tolist() for layers in LAYERS}
    assert chosen == {
        "last": [5.0],
        "second_to_last": [4.0],
        "sum_last_four": [14.0],
        "concat_last_four": [2.0, 3.0, 4.0, 5.0],
        "scalar_mix": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        "all": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    }
    assert [count_features(layers, 7, 5) for layers in LAYERS] == [7, 7, 7, 28, 42, 42]


def test_a_mix_weighs_layers_and_scales():
    mix = ScalarMix(3)
    mix.weights.data = torch.tensor([1.0, 2.0, 1.0]).log()
    mix.scale.data = torch.tensor(10.0)
    vectors = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    torch.testing.assert_close(mix(vectors), torch.tensor([[30.0, 40.0]]))
    assert mix(torch.zeros(0, 6)).shape == (0, 2)


@pytest.mark.everyday(4)
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_heads_learn_from_any_layers(deep, layers, precision):
    docs = make_docs()
    encoders = [build(deep["bert"], layers, precision=precision) for _ in range(2)]
    tokens, texts = build_token_classifier(encoders[0], decoder="greedy"), build_text_classifier(encoders[1])
    tokens.set_tags(["O", "B-X"], "bio")
    texts.n_labels = 3
    for model, read in ((tokens, lambda answer: answer.scores), (texts, lambda answer: answer)):
        model.initialize()
        before = read(model.predict(docs))
        answer, backprop = model.begin_update(docs)
        scores = read(answer)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, before, atol=1.0)
        backprop(texts_gradient(scores) if model is texts else tokens_gradient(scores))
        model.finish_update(configure_adamw(1e-2))
        assert np.abs(read(model.predict(docs)) - before).max() > 1e-3


def texts_gradient(scores):
    return np.ones_like(scores) * [[1.0, -1.0, 0.5]]


def tokens_gradient(scores):
    return TokenGradient(np.ones_like(scores), build_free_chain(scores.shape[1]))


def test_bf16_is_close_to_fp32(deep):
    docs = make_docs()
    exact, rough = (build(deep["bert"], "scalar_mix", "mean", precision=p).predict(docs) for p in ("fp32", "bf16"))
    assert rough.vectors["mean"].dtype == torch.float32
    similarity = torch.cosine_similarity(exact.vectors["mean"], rough.vectors["mean"])
    assert similarity.min() > 0.99
    assert not torch.equal(exact.vectors["mean"], rough.vectors["mean"])


@pytest.mark.parametrize("frozen_layers", ["none", "all"])
@pytest.mark.parametrize("output", ["tokens", "mean"])
def test_the_mix_learns_also_over_a_frozen_encoder(deep, frozen_layers, output):
    model = build(deep["bert"], "scalar_mix", output, frozen_layers=frozen_layers)
    mix = model.shims[1].module
    encoded, backprop = model.begin_update(make_docs())
    vectors = encoded.vectors[output]
    d_vectors = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0))
    expected = torch.autograd.grad((vectors * d_vectors).sum(), list(mix.parameters()), retain_graph=True)
    backprop({output: d_vectors})
    assert all(gradient.abs().min() > 0 for gradient in expected)
    torch.testing.assert_close([parameter.grad for parameter in mix.parameters()], list(expected))
    bert = [parameter.grad is not None for parameter in model.module.bert.parameters()]
    assert any(bert) == (frozen_layers == "none")
    model.finish_update(configure_adamw(1e-4, weight_decay=0.0))
    # At the rate of a weight matrix, a softmax would hardly move.
    assert mix.weights.abs().median().item() == pytest.approx(1e-2, rel=0.01)


def test_a_stored_mix_gives_the_same_answers(deep):
    docs, model = make_docs(), build_classifier(deep["bert"])
    mix = model.encoder.shims[1].module
    mix.weights.data = torch.arange(5.0)
    mix.scale.data = torch.tensor(2.0)
    expected = model.predict(docs)
    other = build_classifier(deep["bert"])
    assert np.abs(other.predict(docs) - expected).max() > 1e-3
    np.testing.assert_array_equal(other.from_bytes(model.to_bytes()).predict(docs), expected)
    np.testing.assert_array_equal(model.copy().predict(docs), expected)


@pytest.mark.parametrize("layers", ["sum_last_four", "concat_last_four"])
def test_too_few_layers(checkpoint, layers):
    with pytest.raises(SettingError, match="2 layers") as caught:
        build(checkpoint, layers)
    assert (caught.value.name, caught.value.value) == ("layers", layers)


def test_an_unknown_choice(checkpoint):
    with pytest.raises(SettingError, match="scalar_mix"):
        build_bert_encoder(checkpoint, layers="first")


@pytest.mark.parametrize("layers", LAYERS)
def test_the_pooler_of_the_checkpoint_is_taken_where_it_fits(deep, layers):
    encoder = build(deep["bert"], layers)
    pooler = encoder.module.bert.pooler.dense.weight
    model = build_classifier(deep["bert"], layers, pooling="cls")
    head = model.module.pooler.weight
    assert torch.equal(head, pooler) == (layers not in WIDTHS)
