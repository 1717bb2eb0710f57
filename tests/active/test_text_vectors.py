"""Vectors of texts from the pass of a head."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS
from spacy.training import Example

from spacy_bertft.active.survey import watch_encoder
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.build import Encoder, build_bert_encoder
from spacy_bertft.models.encoder.states import EncodedDocs
from spacy_bertft.models.heads.token import build_token_classifier

LONG = " ".join(TEXTS * 4)


def make(checkpoint: str, factory: str, *, is_shared: bool = False):
    """Make a pipeline of one head that nobody trained, over an encoder of its own or a shared one."""
    nlp = spacy.blank("en")
    encoder: dict[str, object] = {"name": checkpoint, "precision": "fp32"}
    if is_shared:
        nlp.add_pipe("bert_encoder", config={"model": encoder})
        encoder = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
    nlp.add_pipe(factory, config={"model": {"encoder": encoder}})
    gold = {"entities": [(0, 4, "VERB")], "cats": {"a": 1.0, "b": 0.0}}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), gold)])
    return nlp


def read_vectors(nlp, factory: str, texts: list[str]) -> np.ndarray:
    model = nlp.get_pipe(factory).model
    docs = [nlp.make_doc(text) for text in texts]
    with watch_encoder(model) as read:
        model.predict(docs)
        return read()


def compute_means(checkpoint: str, nlp, texts: list[str]) -> np.ndarray:
    """Compute the mean over the pieces of texts that fit a window."""
    encoder = build_bert_encoder(checkpoint, precision="fp32")
    encoder.initialize()
    encoder.require("mean")
    return encoder.predict([nlp.make_doc(text) for text in texts]).vectors["mean"].numpy()


@pytest.mark.parametrize("factory", ["bert_ner", "bert_textcat"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_vectors_are_means_of_states(checkpoint, factory, is_shared):
    nlp = make(checkpoint, factory, is_shared=is_shared)
    vectors = read_vectors(nlp, factory, TEXTS)
    np.testing.assert_allclose(vectors, compute_means(checkpoint, nlp, TEXTS), atol=1e-5)
    assert vectors.dtype == np.float32


def test_a_text_of_several_windows_has_one_vector(checkpoint):
    nlp = make(checkpoint, "bert_ner")
    vectors = read_vectors(nlp, "bert_ner", [TEXTS[0], LONG, TEXTS[1]])
    np.testing.assert_allclose(vectors[[0, 2]], compute_means(checkpoint, nlp, TEXTS[:2]), atol=1e-5)
    assert np.isfinite(vectors).all()


def test_the_head_predicts_as_before_and_keeps_its_encoder(checkpoint):
    nlp = make(checkpoint, "bert_textcat")
    model, docs = nlp.get_pipe("bert_textcat").model, [nlp.make_doc(text) for text in TEXTS]
    encoder, expected = model.encoder, model.predict(docs)
    with watch_encoder(model):
        np.testing.assert_array_equal(model.predict(docs), expected)
    with pytest.raises(ZeroDivisionError), watch_encoder(model):
        _ = 1 / 0
    assert model.layers == [encoder]


def test_two_threads_see_their_own_states(checkpoint):
    nlp = make(checkpoint, "bert_textcat")
    expected = [read_vectors(nlp, "bert_textcat", [text]) for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(pool.map(lambda text: read_vectors(nlp, "bert_textcat", [text]), TEXTS))
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_encoder_without_means_is_one_clear_error():
    def encode(model, docs, is_train):
        vectors, lengths = torch.zeros(1, 2), np.array([1])
        return EncodedDocs({"tokens": vectors}, lengths - 1, lengths, lengths, lengths - 1, lengths), None

    head = build_token_classifier(Encoder("fake", encode, width=2), decoder="greedy")
    head.set_tags(["O", "X"], None)
    head.initialize()
    with watch_encoder(head) as read:
        head.predict([])
        with pytest.raises(UnsupportedError, match="no mean"):
            read()
