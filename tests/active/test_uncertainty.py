from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_checkpoints import TEXTS

from spacy_bertft.active.uncertainty import (
    measure_exclusive,
    measure_multilabel,
    measure_paths,
    measure_uncertainty,
)
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.tags.chain import best_paths, chain_loss

logits = arrays(np.float64, (3, 4), elements=st.floats(-50, 50))


@given(logits)
def test_entropies_lie_between_sure_and_unsure(scores):
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    for measure in (measure_exclusive, measure_multilabel):
        found = measure(probs)
        assert ((found >= 0) & (found <= 1)).all()
    assert measure_exclusive(np.full((1, 4), 0.25)).tolist() == pytest.approx([1.0])
    assert measure_exclusive(np.eye(4)).tolist() == measure_multilabel(np.eye(4)).tolist() == [0.0] * 4


def test_by_hand():
    # Two of four equally likely: 1 of 2 bits. A label at 0.25: 0.8113 bits.
    assert measure_exclusive(np.array([[0.5, 0.5, 0.0, 0.0]])).tolist() == pytest.approx([0.5])
    assert measure_multilabel(np.array([[0.25, 1.0]])).tolist() == pytest.approx([0.8113 / 2], abs=1e-4)


def test_paths_are_ordered_by_log_probability_per_token():
    log_probs, lengths = np.array([-1.0, -3.0, -3.0, 0.0]), np.array([1, 30, 2, 5])
    assert np.argsort(-measure_paths(log_probs, lengths)).tolist() == np.argsort(log_probs / lengths).tolist()


def test_a_component_is_surer_of_what_it_knows_by_heart(pipeline):
    nlp = spacy.load(pipeline)
    docs = [nlp.make_doc(text) for text in (TEXTS[1], "bill mission café of of 1980s me", "")]
    known, strange, empty = measure_uncertainty(nlp.get_pipe("bert_ner"), docs)
    assert 0 == empty < known < strange < 1
    assert not any(doc.ents or doc.spans for doc in docs)


@pytest.mark.parametrize(
    ("name", "measure"), [("bert_textcat", measure_exclusive), ("bert_textcat_multilabel", measure_multilabel)]
)
def test_categories_are_measured_by_what_the_component_predicts(pipeline, name, measure):
    component = spacy.load(pipeline).get_pipe(name)
    docs = [spacy.blank("en").make_doc(text) for text in TEXTS]
    found = measure_uncertainty(component, docs)
    assert found.tolist() == measure(component.predict(docs)).tolist()
    assert len({*found.tolist()}) == len(docs)
    assert not any(doc.cats for doc in docs)


def test_tags_are_measured_by_the_loss_of_their_best_path(pipeline):
    nlp = spacy.load(pipeline)
    ner, docs = nlp.get_pipe("bert_ner"), [nlp.make_doc(TEXTS[4])]
    answer = ner.model.predict(docs)
    path = best_paths(answer.scores, answer.lengths, answer.chain)
    loss, *_ = chain_loss(answer.scores, answer.lengths, answer.chain, np.eye(answer.scores.shape[1])[path] > 0)
    assert measure_uncertainty(ner, docs)[0] == pytest.approx(1 - np.exp(-loss / answer.lengths[0]))


def test_a_component_of_another_kind(pipeline):
    with pytest.raises(UnsupportedError, match="neither tags nor categories"):
        measure_uncertainty(spacy.load(pipeline).get_pipe("bert_encoder"), [])
