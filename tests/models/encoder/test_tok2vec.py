"""The vectors of tokens against transformers' own states, and their gradient against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, TEXTS, make_checkpoint
from spacy.tokens import Doc
from stock_components import add_stock, make_examples
from transformers import AutoModel

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.listener import build_shared_encoder
from spacy_bertft.models.encoder.tok2vec import build_listener, build_tok2vec
from spacy_bertft.training.optimizer import configure_adamw

ODD = [*TEXTS, "a  b\n\nc ", " \t ", "", "don't…stop", "  leading"]


@pytest.fixture(scope="module", params=FAMILIES)
def steady(request, tmp_path_factory):
    """Give a checkpoint without dropout, so that training gives the states of prediction."""
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    rates |= {"dropout": 0.0, "attention_dropout": 0.0} if request.param == "distilbert" else {}
    return str(make_checkpoint(tmp_path_factory.mktemp("steady"), request.param, **rates))


def build(checkpoint: str, pooling: str, **settings):
    model = build_tok2vec(build_bert_encoder(checkpoint, precision="fp32", **settings), pooling)
    model.initialize()
    return model


def make_docs() -> list[Doc]:
    nlp = spacy.blank("en")
    merged, cut = nlp.make_doc(TEXTS[0]), nlp.make_doc("barrymore")
    with merged.retokenize() as retokenizer:
        retokenizer.merge(merged[2:5])
    with cut.retokenize() as retokenizer:
        retokenizer.split(cut[0], ["barr", "ymor", "e"], [(cut[0], 0)] * 3)
    return [*map(nlp.make_doc, ODD), merged, cut]


def compute_slowly(model, bert, docs: list[Doc], pooling: str) -> list[torch.Tensor]:
    """Compute `(T, H)` of each document, piece by piece."""
    tokenizer = model.layers[0].module.tokenizer
    vectors = []
    for doc in docs:
        # As in spacy-transformers, whitespace counts to the token before it, and to the piece that the tokenizer says.
        pieces = tokenizer.encode([doc.text], keep_whitespace=pooling == "mean")
        ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
        states = bert(torch.tensor([ids])).last_hidden_state[0, len(tokenizer.prefix_ids) :]
        spans = [(s, e) for s, e in zip(pieces.char_start.tolist(), pieces.char_end.tolist(), strict=True)]
        rows = []
        for token in doc:
            start, end = token.idx, token.idx + len(token.text_with_ws if pooling == "mean" else token.text)
            found = [index for index, (s, e) in enumerate(spans) if s < min(e, end) and start < e]
            if pooling == "first":
                found = [index for index in found if spans[index][0] >= start][:1] or found[:1]
            rows.append(states[found].mean(dim=0) if found else states.new_zeros(states.shape[1]))
        vectors.append(torch.stack(rows) if rows else states.new_zeros((0, states.shape[1])))
    return vectors


@pytest.mark.everyday(4)
@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("cache_mb", [0, 8])
def test_vectors_and_gradients_are_those_of_transformers(steady, pooling, cache_mb):
    frozen = {"frozen_layers": "all", "cache_mb": cache_mb} if cache_mb else {}
    model, docs = build(steady, pooling, **frozen), make_docs()
    bert = AutoModel.from_pretrained(steady).eval()
    expected = compute_slowly(model, bert, docs, pooling)
    for batch in (docs, docs[::-1], docs[:1]):
        found, backprop = model.begin_update(batch)
        predicted = model.predict(batch)
        index = [docs.index(doc) for doc in batch]
        for doc, vectors, same, i in zip(batch, found, predicted, index, strict=True):
            assert vectors.shape == (len(doc), 32)
            np.testing.assert_allclose(vectors, expected[i].detach(), atol=1e-5)
            np.testing.assert_allclose(same, expected[i].detach(), atol=1e-5)
    if cache_mb:
        return
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=vectors.shape).astype(np.float32) for vectors in found]
    backprop(weights)
    torch.stack(
        [(vectors * torch.from_numpy(w)).sum() for vectors, w in zip(expected, weights, strict=False)]
    ).sum().backward()
    wanted = {name: each.grad for name, each in bert.named_parameters() if each.grad is not None}
    for name, parameter in model.layers[0].module.bert.named_parameters():
        if "pooler" not in name:
            torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-4, rtol=1e-3)


def test_no_documents(checkpoint):
    vectors, backprop = build(checkpoint, "mean").begin_update([])
    assert vectors == backprop([]) == []


def make_listening(checkpoint: str, **listener):
    """Make a tagger that listens to all layers of an encoder, and an example to learn from."""
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32", "layers": "all"}
    nlp.add_pipe("bert_encoder", config={"model": encoder})
    add_stock(nlp, "tagger", pooling="mean", **listener)
    nlp.initialize(lambda: make_examples(nlp))
    return nlp, nlp.get_pipe("tagger").model.get_ref("tok2vec")


@pytest.mark.parametrize("layers", ["last", "scalar_mix"])
def test_a_listener_chooses_of_all_layers(checkpoint, layers, tmp_path):
    nlp, tok2vec = make_listening(checkpoint, layers=layers)
    doc = nlp.make_doc(TEXTS[0])
    everything = nlp.get_pipe("bert_encoder").model.predict([doc]).vectors["token_means"]  # (T, 3·H)
    by_layer = everything.view(len(doc), 3, -1)
    mix = tok2vec.layers[0].mix
    if mix:
        mix.module.weights.data = torch.tensor([1.0, 2.0, 1.0]).log()
        mix.module.scale.data = torch.tensor(4.0)
    expected = by_layer[:, 0] + 2 * by_layer[:, 1] + by_layer[:, 2] if mix else by_layer[:, 2]
    np.testing.assert_allclose(tok2vec.predict([doc])[0], expected, atol=1e-5)
    assert tok2vec.get_dim("nO") == 32
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    read = loaded.get_pipe("tagger").model.get_ref("tok2vec")
    np.testing.assert_allclose(read.predict([doc])[0], expected, atol=1e-5)


@pytest.mark.parametrize("layers", ["last", "scalar_mix"])
def test_what_a_listener_chooses_learns(checkpoint, layers):
    nlp, tok2vec = make_listening(checkpoint, layers=layers)
    mix = tok2vec.layers[0].mix
    module = nlp.get_pipe("bert_encoder").model.module.bert
    before = {name: each.clone() for name, each in module.state_dict().items() if "pooler" not in name}
    losses = [nlp.update(make_examples(nlp), sgd=configure_adamw(3e-3))["tagger"] for _ in range(8)]
    assert losses[-1] < losses[0]
    after = module.state_dict()
    still = [name for name, each in before.items() if torch.equal(each, after[name])]
    assert still == [name for name in still if "key.bias" in name]  # which change nothing
    assert mix is None or len(set(mix.module.weights.tolist())) == 3


def test_an_encoder_that_gives_one_layer_offers_no_choice(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint}})
    add_stock(nlp, "tagger", layers="last")
    with pytest.raises(SettingError, match=r"layers = 'last'\. Expected \"all\""):
        nlp.initialize(lambda: make_examples(nlp))
    with pytest.raises(SettingError, match=r"layers = 'first'\. Expected one of encoder, last, scalar_mix"):
        build_listener(layers="first")


@pytest.mark.parametrize("build", [build_listener, lambda pooling: build_tok2vec(build_bert_encoder("x"), pooling)])
def test_another_pooling_is_refused(build):
    with pytest.raises(SettingError, match=r"pooling = 'max'\. Expected one of first, mean"):
        build(pooling="max")


def test_a_shared_encoder_is_refused():
    with pytest.raises(SettingError, match=r"put spacy-bertft\.Listener\.v1"):
        build_tok2vec(build_shared_encoder())
