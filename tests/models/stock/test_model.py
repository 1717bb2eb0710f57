"""`TransformerModel.v1` against the stock model with the same weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, WORDS, make_checkpoint, make_sentences
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import SettingError, UnsupportedError
from spacy_bertft.models.stock.model import build_transformer_model

pytest.importorskip("spacy_transformers")

SPANS = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 12, "stride": 9}
OURS = {"@architectures": "spacy-bertft.TransformerModel.v1", "precision": "fp32"}
STOCK = {"@architectures": "spacy-transformers.TransformerModel.v3"}
NER = {
    "@architectures": "spacy.TransitionBasedParser.v2",
    "state_type": "ner",
    "extra_state_tokens": False,
    "hidden_width": 16,
    "maxout_pieces": 2,
    "use_upper": False,
    "tok2vec": {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    },
}
LONG = " ".join(np.random.default_rng(0).choice(WORDS, size=60).tolist())
ODD = [*TEXTS, *make_sentences(30), LONG, "a  b\n\nc ", " \t ", "x", "", "don't…stop", "3.50€/kg", "  leading"]


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta"])
def steady(request, tmp_path_factory):
    """Give a checkpoint without dropout, so that training can be compared too."""
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    rates |= {"dropout": 0.0, "attention_dropout": 0.0} if request.param == "distilbert" else {}
    folder = make_checkpoint(tmp_path_factory.mktemp("steady"), request.param, **rates)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    if "trim_offsets" in content["post_processor"]:
        content["post_processor"]["trim_offsets"] = True  # as transformers has it, and as is published
        path.write_text(json.dumps(content))
    return str(folder)


def make(architecture, checkpoint, with_ner=False, **settings):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    model = architecture | {"name": checkpoint, "get_spans": SPANS, "tokenizer_config": {"use_fast": True}, **settings}
    nlp.add_pipe("transformer", config={"model": model})
    if with_ner:
        nlp.add_pipe("ner", config={"model": NER})
        nlp.get_pipe("ner").add_label("ACTOR")
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def make_examples(nlp):
    return [Example.from_dict(nlp.make_doc(TEXTS[0]), {"entities": [(19, 33, "ACTOR")]})]


def test_every_document_gets_the_same(steady):
    stock, ours = make(STOCK, steady), make(OURS, steady)
    pairs = list(zip(stock.pipe(ODD), ours.pipe(ODD), strict=True))
    pairs += [(stock(text), ours(text)) for text in ODD]
    for expected, found in ((left._.trf_data, right._.trf_data) for left, right in pairs):
        np.testing.assert_array_equal(found.align.lengths, expected.align.lengths)
        if "last_hidden_state" not in expected.model_output:
            assert "last_hidden_state" not in found.model_output
            continue
        # How far a batch is padded is up to each: compare by row and column.
        mask = np.asarray(expected.wordpieces.attention_mask) > 0
        width = mask.sum(axis=1).max()
        for name in ("input_ids", "attention_mask"):
            left, right = (getattr(each.wordpieces, name)[:, :width] for each in (expected, found))
            np.testing.assert_array_equal(left, right)
        assert found.wordpieces.lengths == expected.wordpieces.lengths
        left, right = (np.asarray(each.model_output.last_hidden_state)[:, :width] for each in (expected, found))
        np.testing.assert_allclose(right[mask[:, :width]], left[mask[:, :width]], atol=1e-5)
        for each in (expected, found):
            each.align.data = locate(each)
        np.testing.assert_array_equal(found.align.data, expected.align.data)


def locate(data) -> np.ndarray:
    """Return row and column of each aligned piece."""
    width = data.wordpieces.input_ids.shape[1]
    return np.stack(np.divmod(np.asarray(data.align.dataXd).reshape(-1), width), axis=1)


def test_gradients_and_losses_are_the_same(steady):
    losses, gradients = [], []
    for architecture in (STOCK, OURS):
        nlp = make(architecture, steady, with_ner=True)
        losses.append([nlp.update(make_examples(nlp), sgd=False)["ner"] for _ in range(2)])
        [shim] = [shim for node in nlp.get_pipe("transformer").model.walk() for shim in node.shims]
        module = shim._model if architecture is STOCK else shim.module.bert
        gradients.append(
            {
                name: each.grad
                for name, each in module.named_parameters()
                if each.grad is not None and "pooler" not in name
            }
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    stock, ours = gradients
    assert stock.keys() == ours.keys()
    for name, gradient in stock.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-4, rtol=1e-3)


def test_it_learns_and_is_stored(steady, tmp_path):
    fix_random_seed(0)
    nlp = make(OURS, steady, with_ner=True)
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.003
    for _ in range(80):
        nlp.update(make_examples(nlp), sgd=optimizer)
    assert [ent.text for ent in nlp(TEXTS[0]).ents] == ["drew barrymore"]
    nlp.to_disk(tmp_path / "pipeline")
    other = spacy.load(tmp_path / "pipeline")
    for text in ODD:
        assert [(ent.start, ent.end) for ent in other(text).ents] == [(ent.start, ent.end) for ent in nlp(text).ents]


def test_a_span_longer_than_the_model_loses_no_token(checkpoint):
    """The checkpoint can number 64 pieces; the stock model drops what is beyond."""
    whole = {"@span_getters": "spacy-transformers.doc_spans.v1"}
    nlp = make(OURS, checkpoint, get_spans=whole)
    data = nlp(LONG * 3)._.trf_data
    lengths = np.asarray(data.align.lengths)
    assert len(data.wordpieces.lengths) == 1
    assert data.wordpieces.lengths[0] > 64
    assert (lengths > 0).all()
    states = np.asarray(data.model_output.last_hidden_state).reshape(-1, 32)
    assert np.isfinite(states).all()
    assert (np.abs(states[np.asarray(data.align.dataXd).reshape(-1)]).sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"tokenizer_config": {"use_fast": False}}, "tokenizer_config"),
        ({"tokenizer_config": {"strip_accents": True}}, "tokenizer_config"),
        ({"transformer_config": {"output_attentions": True}}, "transformer_config"),
        ({"grad_scaler_config": {"init_scale": 2.0}}, "grad_scaler_config"),
        ({"precision": "fp64"}, "precision"),
        ({"max_pieces": 0}, "max_pieces"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(settings, name):
    with pytest.raises(SettingError) as caught:
        build_transformer_model("somewhere", lambda docs: [], **settings)
    assert caught.value.name == name


def test_mixed_precision_is_bfloat16(checkpoint):
    states = []
    for settings in ({"precision": "fp32"}, {"precision": "auto", "mixed_precision": True}):
        nlp = make(OURS, checkpoint, **settings)
        states.append(np.asarray(nlp(TEXTS[0])._.trf_data.model_output.last_hidden_state))
    assert states[1].dtype == np.float32
    assert 1e-5 < np.abs(states[0] - states[1]).max() < 0.2


def test_a_listener_is_not_replaced_by_a_copy(checkpoint):
    nlp = make(OURS, checkpoint, with_ner=True)
    with pytest.raises(UnsupportedError, match="cannot be copied"):
        nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])


@pytest.mark.process
def test_processes(checkpoint):
    nlp = make(OURS, checkpoint, with_ner=True)
    assert nlp.get_pipe("transformer").model.is_initialized
    expected = [[(ent.start, ent.end) for ent in doc.ents] for doc in nlp.pipe(TEXTS * 2)]
    # States do not travel between processes: the annotations do.
    nlp.add_pipe("doc_cleaner", config={"attrs": {"_.trf_data": None}})
    found = nlp.pipe(TEXTS * 2, n_process=2, batch_size=3)
    assert [[(ent.start, ent.end) for ent in doc.ents] for doc in found] == expected
