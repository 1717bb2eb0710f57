"""The text classifier against transformers, and by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, WORDS, make_checkpoint, make_sentences
from spacy.tokens import Doc
from transformers import AutoModel, AutoTokenizer, BertForSequenceClassification

from spacy_bertft.data.pairs import make_pair, mark_pair
from spacy_bertft.errors import NotInitializedError, SettingError
from spacy_bertft.models.encoder.build import Encoder, build_bert_encoder
from spacy_bertft.models.encoder.states import EncodedDocs
from spacy_bertft.models.heads.text import build_text_classifier, combine_windows

nlp = spacy.blank("en")
N_LABELS = 3


def build(name, *, pooling="cls", windows="mean", **encoder):
    model = build_text_classifier(
        build_bert_encoder(str(name), precision="fp32", **encoder), pooling=pooling, windows=windows
    )
    model.n_labels = N_LABELS
    model.initialize()
    return model


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A random `BertForSequenceClassification` with its tokenizer."""
    folder = tmp_path_factory.mktemp("sequence")
    plain = make_checkpoint(folder / "plain", "bert")
    torch.manual_seed(0)
    bert = BertForSequenceClassification.from_pretrained(plain, num_labels=N_LABELS)
    torch.nn.init.normal_(bert.bert.pooler.dense.weight, std=0.2)
    torch.nn.init.normal_(bert.classifier.weight, std=0.5)
    torch.nn.init.normal_(bert.classifier.bias)
    bert.save_pretrained(folder)  # to transformers 4.48 the file that it has read is its memory still
    shutil.copy(plain / "tokenizer.json", folder)
    return folder, bert.eval()


def build_like(official):
    folder, bert = official
    model = build(folder)
    model.module.linear.load_state_dict(bert.classifier.state_dict())
    return model


def run_official(official, *texts):
    """Run transformers, without the padding and truncation that our small tokenizer file carries."""
    folder, bert = official
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(*texts, return_tensors="pt", padding=True, truncation=False)
    with torch.no_grad():
        return bert(**inputs).logits.numpy()


def test_logits_are_those_of_transformers(official):
    texts = make_sentences(200)
    scores = build_like(official).predict([nlp.make_doc(text) for text in texts])
    alone = np.concatenate([run_official(official, [text]) for text in texts])
    np.testing.assert_allclose(scores, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).min() > 0.1


def test_logits_of_pairs_are_those_of_transformers(official):
    texts = make_sentences(200)
    pairs = list(zip(texts[:100], texts[100:], strict=True))
    model = build_like(official)
    single = [nlp.make_doc(text) for text in texts[:20]]
    docs = [make_pair(nlp, first, second) for first, second in pairs]
    mixed = model.predict([*single, *docs])
    alone = np.concatenate([run_official(official, [first], [second]) for first, second in pairs])
    np.testing.assert_allclose(mixed[len(single) :], alone, atol=1e-5)
    np.testing.assert_allclose(mixed[: len(single)], model.predict(single), atol=1e-5)
    again = model.predict([mark_pair(nlp.make_doc(doc.text)) for doc in docs])
    np.testing.assert_allclose(again, alone, atol=1e-5)


def test_segment_ids_matter(official):
    """As pairs, not as one text that happens to hold the same pieces."""
    [pair] = build_like(official).predict([make_pair(nlp, TEXTS[0], TEXTS[3])])
    [single] = build_like(official).predict([nlp.make_doc(f"{TEXTS[0]} {TEXTS[3]}")])
    assert np.abs(pair - single).max() > 1e-3


def test_too_long_a_pair_is_cut_as_transformers_does_and_is_counted(official):
    folder, bert = official
    words = np.random.default_rng(0).choice(WORDS, size=300).tolist()
    first, second = " ".join(words[:30]), " ".join(words)
    model = build_like(official)
    docs = [make_pair(nlp, first, second), make_pair(nlp, "drew", "bill")]
    scores = model.predict(docs)[:1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    longest = bert.config.max_position_embeddings
    inputs = tokenizer([first], [second], return_tensors="pt", truncation="longest_first", max_length=longest)
    assert inputs["input_ids"].shape[1] == longest
    with torch.no_grad():
        np.testing.assert_allclose(scores, bert(**inputs).logits.numpy(), atol=1e-5)
    n_pieces = sum(len(model.find_source().module.tokenizer.encode([text]).ids) for text in (first, second))
    assert model.n_truncated == 1
    assert model.encoder.predict(docs).n_lost.tolist() == [n_pieces + 3 - longest, 0]
    assert model.to_bytes() == build_like(official).to_bytes()


@pytest.mark.parametrize("pooling", ["first", "mean", "max"])
def test_pooling_by_hand(checkpoint, pooling):
    bert = AutoModel.from_pretrained(checkpoint).eval()
    model = build(checkpoint, pooling=pooling)
    tokenizer = model.find_source().module.tokenizer
    for text in TEXTS:
        ids = [*tokenizer.prefix_ids, *tokenizer.encode([text]).ids.tolist(), *tokenizer.suffix_ids]
        with torch.no_grad():
            states = bert(torch.tensor([ids])).last_hidden_state[0]
            vector = {"first": states[0], "mean": states.mean(dim=0), "max": states.amax(dim=0)}[pooling]
            expected = model.module.linear(vector)
        found = model.predict([nlp.make_doc(other) for other in [*TEXTS, text]])[-1]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "first", "mean", "max"])
@pytest.mark.parametrize("family", ["distilbert", "electra", "roberta"])
def test_every_family_takes_single_texts_and_pairs(checkpoints, family, pooling):
    docs = [nlp.make_doc(TEXTS[0]), make_pair(nlp, TEXTS[1], TEXTS[2]), nlp.make_doc("")]
    scores = build(checkpoints(family), pooling=pooling).predict(docs)
    assert scores.shape == (3, N_LABELS)
    assert np.isfinite(scores).all()


def test_windows_by_hand():
    scores = np.array([[1.0, 0.0], [4.0, -2.0], [7.0, 1.0]], dtype=np.float32)
    doc, lengths = np.array([0, 0, 1]), np.array([30, 10, 5])
    gradient = np.array([[8.0, 4.0], [1.0, 2.0]], dtype=np.float32)
    combined = {}
    for how in ("mean", "max", "first"):
        by_doc, spread = combine_windows(scores, doc, lengths, 2, how)
        combined[how] = by_doc.tolist(), spread(gradient).tolist()
    assert combined == {
        "mean": ([[1.75, -0.5], [7.0, 1.0]], [[6.0, 3.0], [2.0, 1.0], [1.0, 2.0]]),
        "max": ([[4.0, 0.0], [7.0, 1.0]], [[0.0, 4.0], [8.0, 0.0], [1.0, 2.0]]),
        "first": ([[1.0, 0.0], [7.0, 1.0]], [[8.0, 4.0], [0.0, 0.0], [1.0, 2.0]]),
    }


@pytest.mark.parametrize("windows", ["mean", "max", "first"])
def test_a_long_text_is_answered_by_its_windows(checkpoint, windows):
    """Each window by itself, cut out by hand, and then combined."""
    words = ["the"] * 20 + ["starred"] * 20 + ["who"] * 10  # of one piece each
    model = build(checkpoint, pooling="mean", windows=windows, window=22, stride=20)
    [found] = model.predict([Doc(nlp.vocab, words=words)])
    parts = [words[:20], words[20:40], words[30:]]
    alone = model.predict([Doc(nlp.vocab, words=part) for part in parts])
    expected = {"mean": alone.mean(axis=0), "max": alone.max(axis=0), "first": alone[0]}[windows]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_docs_of_all_lengths_stay_in_order(checkpoint):
    lengths = [0, 1, 10_000, 0, 300, 2]
    rng = np.random.default_rng(0)
    docs = [Doc(nlp.vocab, words=rng.choice(WORDS, size=length).tolist()) for length in lengths]
    docs.append(nlp.make_doc(" \n\t "))
    model = build(checkpoint, pooling="mean")
    scores = model.predict(docs)
    for row, doc in zip(scores, docs, strict=True):
        np.testing.assert_allclose(row, model.predict([doc])[0], atol=1e-5)
    assert model.predict([]).shape == (0, N_LABELS)


@pytest.mark.parametrize("pooling", ["cls", "first", "mean", "max"])
@pytest.mark.parametrize("windows", ["mean", "max", "first"])
def test_gradients_are_those_of_differences(tmp_path, pooling, windows):
    """Through head, windows and encoder, along one random direction of all weights."""
    folder = make_checkpoint(tmp_path, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = build(folder, pooling=pooling, windows=windows, window=12, stride=8)
    modules = [node.module for node in model.walk() if node.shims]
    docs = [nlp.make_doc(" ".join(TEXTS)), make_pair(nlp, "drew", "bill"), nlp.make_doc("")]
    d_scores = np.random.default_rng(0).normal(size=(3, N_LABELS)).astype(np.float32)
    _, backprop = model.begin_update(docs)
    backprop(d_scores)
    generator = torch.Generator().manual_seed(0)
    parameters = [p for module in modules for p in module.parameters() if p.grad is not None]
    steps = [1e-4 * torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    expected = sum((p.grad * step).sum().item() for p, step in zip(parameters, steps, strict=True))
    totals = []
    for sign in (1, -2):
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.data += sign * step
        for shim in (node.shim for node in model.walk() if node.shims):
            shim.derived.clear()
        totals.append(float((model.predict(docs).astype(np.float64) * d_scores).sum()))
    assert len(parameters) > 10
    assert (totals[0] - totals[1]) / 2 == pytest.approx(expected, rel=0.05, abs=1e-5)


def make_fake_encoder(width: int = 2) -> Encoder:
    """An encoder of ten lines: the mean vector of a document is its length."""

    def forward(model, docs, is_train):
        lengths = np.array([len(doc) for doc in docs])
        vectors = torch.tensor(lengths, dtype=torch.float32)[:, None].repeat(1, width)
        none = np.zeros(0, dtype=np.intp)
        encoded = EncodedDocs(
            {"tokens": torch.zeros(0, width), "mean": vectors}, none, none, 0 * lengths, np.arange(len(docs)), lengths
        )
        return encoded, lambda gradient: []

    return Encoder("fake", forward, width=width)


def test_any_encoder_will_do():
    model = build_text_classifier(make_fake_encoder(), pooling="mean")
    assert model.encoder.outputs == ["mean"]
    model.n_labels = 2
    model.initialize()
    head = model.module
    torch.nn.init.constant_(head.linear.weight, 0.5)
    scores, backprop = model.begin_update([nlp("one two three"), nlp("one")])
    np.testing.assert_allclose(scores, [[3.0, 3.0], [1.0, 1.0]])
    backprop(np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32))
    assert head.linear.weight.grad.tolist() == [[3.0, 3.0], [2.0, 2.0]]


def test_the_pooler_of_the_checkpoint_is_where_learning_starts(official):
    folder, bert = official
    head = build(folder).module
    torch.testing.assert_close(head.pooler.weight, bert.bert.pooler.dense.weight)
    assert build(folder, pooling="mean").module.pooler is None


def test_dropout_only_while_learning(checkpoint):
    model = build(checkpoint, pooling="mean", frozen_layers="all")
    model.attrs["dropout_rate"] = 0.9
    docs = [nlp.make_doc(text) for text in TEXTS]
    np.testing.assert_array_equal(model.predict(docs), model.predict(docs))
    assert np.abs(model.begin_update(docs)[0] - model.predict(docs)).max() > 1e-3


@pytest.mark.parametrize(
    ("setting", "value"), [("pooling", "median"), ("windows", "last"), ("dropout", 1.0), ("head_lr_scale", 0.0)]
)
def test_settings_outside_of_what_is_allowed(checkpoint, setting, value):
    with pytest.raises(SettingError) as caught:
        build_text_classifier(build_bert_encoder(checkpoint), **{setting: value})
    assert caught.value.name == setting


def test_without_labels(checkpoint):
    with pytest.raises(NotInitializedError):
        build_text_classifier(build_bert_encoder(checkpoint)).initialize()
