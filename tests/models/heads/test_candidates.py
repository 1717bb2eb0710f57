"""The span classifier against the same sums written out span by span, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS
from spacy.pipeline.spancat import build_ngram_suggester
from spacy.tokens import Doc
from thinc.types import Ragged

from spacy_bertft.errors import CheckpointError, NotInitializedError, SettingError
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.states import EncodedDocs, copy_encoded
from spacy_bertft.models.heads import layers
from spacy_bertft.models.heads.candidates import SpanScores, build_span_classifier
from spacy_bertft.models.heads.candidates import _find_rows as find_rows

nlp = spacy.blank("en")
LONG = " ".join(TEXTS * 4)  # some windows


@pytest.fixture
def model(checkpoint):
    model = build_span_classifier(build_bert_encoder(checkpoint, precision="fp32"), hidden_width=8, dropout=0.0)
    model.n_labels = 3
    model.initialize()
    for parameter in model.module.parameters():
        torch.nn.init.normal_(parameter)
    return model


def score_one(head, states, first, last):
    """Score a span of rows as one concatenation, without sums over the text."""
    span = states[first : last + 1]
    inputs = torch.cat([span[0], span[-1], span.mean(dim=0)])
    layers = (head.start, head.end, head.content)
    weight, bias = torch.cat([each.weight for each in layers], dim=1), sum(each.bias for each in layers)
    hidden = head.norm(weight @ inputs + bias + head.length.weight[min(last - first, 31)])
    return head.linear(torch.nn.functional.gelu(hidden))


def test_scores_and_gradients_are_those_of_a_concatenation(model, monkeypatch):
    monkeypatch.setattr(layers, "_CHUNK", 7)  # several
    model.suggester = build_ngram_suggester([1, 2, 5, 40])
    docs = [nlp.make_doc(text) for text in (TEXTS[0], "", LONG, "films")]
    encoded = copy_encoded(model.encoder(docs, False)[0])
    states = encoded.vectors["tokens"].clone().requires_grad_()
    sent = []
    # Without the dropout of the encoder.
    monkeypatch.setattr(model, "encode", lambda docs, is_train: (encoded, lambda gradient: sent.append(gradient) or []))
    scores, backprop = model.begin_update(docs)
    assert scores.lengths.tolist() == [sum(max(0, len(doc) + 1 - size) for size in (1, 2, 5, 40)) for doc in docs]
    offset = np.repeat(np.cumsum([0, *map(len, docs[:-1])]), scores.lengths)[:, None]
    rows = [(start, end - 1) for start, end in (scores.spans + offset).tolist()]
    expected = torch.stack([score_one(model.module, states, *row) for row in rows])
    np.testing.assert_allclose(scores.scores, expected.detach().numpy(), atol=2e-5)
    d_scores = np.random.default_rng(0).normal(size=scores.scores.shape)
    backprop(d_scores)
    [gradient] = torch.autograd.grad(expected, states, torch.from_numpy(d_scores).float())
    torch.testing.assert_close(sent[0]["tokens"], gradient, atol=1e-4, rtol=1e-4)


def test_candidates_begin_and_end_with_a_subword_token(model):
    """The second blank is a token of its own, without one."""
    scores = model.predict([Doc(nlp.vocab, ["show", " ", "me"]), Doc(nlp.vocab, [" "])])
    assert scores.spans.tolist() == [[0, 1], [2, 3], [0, 3]]
    assert scores.lengths.tolist() == [3, 0]


def test_tokens_that_share_a_subword_token():
    """Of four tokens the second and the third are one row: a span may have both or none."""
    nothing = np.zeros(0, dtype=np.intp)
    rows = np.array([0, 1, 3]), np.array([1, 3, 4])
    encoded = EncodedDocs({"tokens": torch.zeros(3, 2)}, *rows, np.array([3]), nothing, nothing)
    spans = np.array([[0, 2], [0, 3], [1, 3], [2, 4], [3, 4]])
    found = find_rows(spans, np.zeros(5, dtype=np.intp), [Doc(nlp.vocab, list("abcd"))], encoded)
    assert found.tolist() == [[0, -1], [0, 1], [1, 1], [-1, 2], [2, 2]]


def test_the_loss_is_the_cross_entropy_per_token():
    scores = np.array([[0.5, -2.0], [3.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    targets, is_known = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.array([[True] * 2, [True] * 2, [False] * 2])
    batch = SpanScores(scores, np.zeros((3, 2), dtype=np.intp), np.array([3]), n_tokens=5)
    loss, gradient = batch.compute_loss(targets, is_known)
    logits = torch.from_numpy(scores[:2]).double().requires_grad_()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(targets[:2]), reduction="sum"
    )
    assert loss == pytest.approx(expected.item() / 5)
    np.testing.assert_allclose(gradient[:2] * 5, torch.autograd.grad(expected, logits)[0].numpy())
    assert not gradient[2].any()


def test_no_candidates_and_no_documents(model):
    model.suggester = build_ngram_suggester([9])
    for docs in ([], [nlp.make_doc("films")], [nlp.make_doc("")]):
        scores, backprop = model.begin_update(docs)
        assert scores.scores.shape == (0, 3)
        backprop(np.zeros((0, 3)))


@pytest.mark.parametrize("span", [(-1, 1), (1, 1), (0, 2)])
def test_a_suggester_that_gives_no_spans_of_the_document(model, span):
    model.suggester = lambda docs, ops: Ragged(np.array([span]), np.array([1]))
    with pytest.raises(SettingError, match=r"suggester.*ranges of the tokens"):
        model.predict([nlp.make_doc("films")])


def test_settings_and_storage(model, checkpoint):
    with pytest.raises(SettingError, match="hidden_width"):
        build_span_classifier(build_bert_encoder(checkpoint), hidden_width=0)
    other = build_span_classifier(build_bert_encoder(checkpoint, precision="fp32"))
    with pytest.raises(NotInitializedError, match="no labels"):
        other.initialize()
    other.from_bytes(model.to_bytes())
    docs = [nlp.make_doc(LONG)]
    np.testing.assert_array_equal(other.predict(docs).scores, model.predict(docs).scores)
    other.check_stored()
    other.n_labels = 4
    with pytest.raises(CheckpointError, match="3 outputs"):
        other.check_stored()
