"""The `transformer` of spacy-transformers with our encoder, and a head that listens to it, used by many threads."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from all_heads import MIXED
from many_threads import run_at_once
from spacy.language import Language
from spacy.training import Example
from taught_pipelines import SHARED
from thinc.api import fix_random_seed

pytestmark = pytest.mark.stock

pytest.importorskip("spacy_transformers")

SPANS = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 12, "stride": 9}


def make(checkpoint: str) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy-bertft.TransformerModel.v1", "name": checkpoint, "get_spans": SPANS}
    nlp.add_pipe("transformer", config={"model": model})
    nlp.add_pipe("bert_textcat", config={"model": {"encoder": SHARED}})
    gold = {"cats": {"film": 1.0, "other": 0.0}}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(text), gold) for text in MIXED[:3]])
    return nlp


def read(nlp: Language, text: str) -> tuple[dict[str, float], bytes]:
    doc = nlp(text)
    output = doc._.trf_data.model_output
    states = output.last_hidden_state if "last_hidden_state" in output else np.zeros(0)
    return dict(doc.cats), np.asarray(states).tobytes()


def test_texts_one_by_one(checkpoint):
    nlp = make(checkpoint)
    expected = [read(nlp, text) for text in MIXED]
    assert len({states for _, states in expected}) > len(MIXED) // 2
    cold = make(checkpoint)
    for answers in run_at_once(lambda _: [read(cold, text) for text in MIXED]):
        assert answers == expected
