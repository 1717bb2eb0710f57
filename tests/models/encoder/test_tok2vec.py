"""The vectors of tokens against transformers' own states, and their gradient against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, TEXTS, make_checkpoint
from spacy.tokens import Doc
from transformers import AutoModel

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.listener import build_shared_encoder
from spacy_bertft.models.encoder.tok2vec import build_listener, build_tok2vec

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
        pieces = tokenizer.encode([doc.text])
        ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
        states = bert(torch.tensor([ids])).last_hidden_state[0, len(tokenizer.prefix_ids) :]
        spans = [(s, e) for s, e in zip(pieces.char_start.tolist(), pieces.char_end.tolist(), strict=True)]
        rows = []
        for token in doc:
            start, end = token.idx, token.idx + len(token)
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


@pytest.mark.parametrize("build", [build_listener, lambda pooling: build_tok2vec(build_bert_encoder("x"), pooling)])
def test_another_pooling_is_refused(build):
    with pytest.raises(SettingError, match=r"pooling = 'max'\. Expected one of first, mean"):
        build(pooling="max")


def test_a_shared_encoder_is_refused():
    with pytest.raises(SettingError, match=r"put spacy-bertft\.Listener\.v1"):
        build_tok2vec(build_shared_encoder())
