"""The encoder against transformers itself."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import srsly
import torch
from every_class import make_model, save_model
from small_checkpoints import (
    FAMILIES,
    TEXTS,
    WORDS,
    find_first_pieces,
    make_checkpoint,
    make_sentences,
    make_word_level,
)
from spacy.tokens import Doc
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import CheckpointError, CheckpointNotFoundError, NotInitializedError, SettingError
from spacy_bertft.models.encoder import inference
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.loading import configure_transformer
from spacy_bertft.models.runtime.layers import can_pack
from spacy_bertft.tokens.windows import PaddedWindows, WindowLayout

nlp = spacy.blank("en")


def test_positions_that_this_version_of_transformers_ignores():
    """They would silently be others than the pipeline was trained with."""
    theirs = AutoConfig.for_model("modernbert").to_dict()
    rope = {name: {"rope_type": "default", "rope_theta": 5000.0} for name in ("full_attention", "sliding_attention")}
    config = configure_transformer({"model_type": "modernbert", "rope_parameters": rope})
    if "rope_parameters" in theirs:  # transformers 5
        assert config.rope_parameters["full_attention"]["rope_theta"] == 5000.0
        with pytest.raises(
            CheckpointError, match=r"position_embedding_type = 'relative_key'\. Expected transformers 4"
        ):
            configure_transformer({"model_type": "bert", "position_embedding_type": "relative_key"})
    else:
        assert (config.global_rope_theta, config.local_rope_theta) == (5000.0, 5000.0)
        with pytest.raises(CheckpointError, match=r"rope_parameters = .* Expected transformers 5"):
            configure_transformer({"model_type": "gpt_neox", "rope_parameters": {"rope_theta": 5.0}})


def make_docs(n_docs: int) -> list[Doc]:
    return [nlp.make_doc(text) for text in make_sentences(n_docs)]


def build(name: str, **settings):
    model = build_bert_encoder(str(name), precision=settings.pop("precision", "fp32"), **settings)
    model.initialize()
    return model


def encode_alone(bert: torch.nn.Module, name: str, doc: Doc) -> np.ndarray:
    """Run transformers on one text and pick the first piece that starts in each token, the slow way."""
    tokenizer = read_tokenizer(name)
    pieces = tokenizer.encode([doc.text])
    ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
    with torch.no_grad():
        states = bert.eval()(torch.tensor([ids])).last_hidden_state[0].numpy()
    return states[np.array(find_first_pieces(pieces, doc)) + len(tokenizer.prefix_ids)]


@pytest.mark.parametrize("family", FAMILIES)
def test_token_vectors_are_those_of_transformers(checkpoints, family):
    folder = checkpoints(family)
    docs = make_docs(40)
    encoded = build(folder).predict(docs)
    bert = AutoModel.from_pretrained(folder)
    expected = np.concatenate([encode_alone(bert, str(folder), doc) for doc in docs])
    assert encoded.lengths.tolist() == [len(doc) for doc in docs]
    np.testing.assert_allclose(encoded.vectors["tokens"].numpy(), expected, atol=1e-5)


def test_a_checkpoint_with_a_head_gives_the_same_encoder(checkpoints):
    folder = checkpoints("bert", 5)
    docs = make_docs(20)
    encoded = build(folder).predict(docs)
    bert = AutoModelForTokenClassification.from_pretrained(folder).bert
    expected = np.concatenate([encode_alone(bert, str(folder), doc) for doc in docs])
    np.testing.assert_allclose(encoded.vectors["tokens"].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("max_pieces", [1, 50, 100_000])
def test_buckets_change_nothing(checkpoint, max_pieces):
    docs = make_docs(30)
    encoded = build(checkpoint, max_pieces=max_pieces).predict(docs)
    alone = build(checkpoint)
    for vectors, doc in zip(encoded.vectors["tokens"].split(encoded.lengths.tolist()), docs, strict=True):
        torch.testing.assert_close(vectors, alone.predict([doc]).vectors["tokens"], atol=1e-5, rtol=0)


@pytest.fixture
def passes(monkeypatch):
    """Collect the masks of all passes."""
    passes: list[np.ndarray] = []
    pad = WindowLayout.pad

    def pad_and_note(*arguments) -> PaddedWindows:
        padded = pad(*arguments)
        passes.append(padded.mask)
        return padded

    monkeypatch.setattr(WindowLayout, "pad", pad_and_note)
    return passes


def test_passes_have_little_padding_where_nothing_is_learned(checkpoint, passes, monkeypatch):
    monkeypatch.setattr(inference, "can_pack", lambda weight: False)
    model, docs = build(checkpoint, max_pieces=100_000), make_docs(60)
    model(docs, is_train=True)
    assert len(passes) == 1
    assert (passes.pop() == 0).sum() > 32
    model.predict(docs)
    assert len(passes) > 1
    assert max((mask == 0).sum() for mask in passes) <= 32


@pytest.mark.skipif(not can_pack(torch.ones(1)), reason="dense layers are not packed on this processor")
def test_windows_in_rows_need_no_passes_of_their_own(checkpoint, passes):
    model, docs = build(checkpoint, max_pieces=100_000), make_docs(60)
    model.predict(docs)
    assert len(passes) == 1
    passes.clear()
    build(checkpoint, max_pieces=100).predict(docs)
    assert max(mask.sum() for mask in passes) <= 100


def test_empty_docs_shift_nothing(checkpoint):
    model = build(checkpoint)
    docs = [nlp.make_doc(text) for text in ["", "drew barrymore", "", "  \n ", "bill", ""]]
    encoded = model.predict(docs)
    assert encoded.lengths.tolist() == [0, 2, 0, 0, 1, 0]
    assert encoded.token_index.tolist() == [0, 1, 3]
    torch.testing.assert_close(encoded.vectors["tokens"][2:], model.predict(docs[4:5]).vectors["tokens"])
    assert model.predict([]).vectors["tokens"].shape == (0, 32)


def test_every_token_of_a_long_text_has_a_vector(checkpoint):
    words = np.random.default_rng(0).choice(WORDS, size=10_000).tolist()
    doc = Doc(nlp.vocab, words=words)
    encoded = build(checkpoint).predict([doc])
    assert encoded.lengths.tolist() == [10_000]
    assert encoded.token_index.tolist() == list(range(10_000))


def test_a_token_in_the_middle_of_a_long_text_is_answered_by_the_window_around_it(checkpoint):
    """One window over the same pieces, cut out by hand, gives the same vector."""
    doc = Doc(nlp.vocab, words=["the"] * 100)  # one piece each
    tokens = build(checkpoint, window=22, stride=10).predict([doc]).vectors["tokens"]
    short = Doc(nlp.vocab, words=["the"] * 20)
    within = build(checkpoint).predict([short]).vectors["tokens"]
    # Windows start at 0, 10, 20 …; of the window at 10, tokens 15 to 24 are furthest from its edges.
    torch.testing.assert_close(tokens[15:25], within[5:15], atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[:15], within[:15], atol=1e-5, rtol=0)


def test_the_first_vector_of_a_window_is_the_state_of_its_first_piece(checkpoint):
    doc = nlp.make_doc(TEXTS[0])
    bert = AutoModel.from_pretrained(checkpoint).eval()
    tokenizer = read_tokenizer(checkpoint)
    ids = [*tokenizer.prefix_ids, *tokenizer.encode([doc.text]).ids.tolist(), *tokenizer.suffix_ids]
    with torch.no_grad():
        expected = bert(torch.tensor([ids])).last_hidden_state[:, 0]
    model = build(checkpoint)
    model.require("first")
    torch.testing.assert_close(model.predict([doc]).vectors["first"], expected, atol=1e-5, rtol=0)


def test_gradients_are_those_of_autograd(tmp_path):
    """Through batch, windows and buckets, against one plain pass over each text."""
    folder = make_checkpoint(tmp_path, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = build(folder, max_pieces=64)
    module = model.module
    docs = make_docs(12)
    encoded, backprop = model.begin_update(docs)
    d_tokens = torch.randn(encoded.vectors["tokens"].shape, generator=torch.Generator().manual_seed(1))
    backprop({"tokens": d_tokens})
    bert = AutoModel.from_pretrained(folder).eval()
    tokenizer = read_tokenizer(str(folder))
    for doc, d_doc in zip(docs, d_tokens.split(encoded.lengths.tolist()), strict=True):
        pieces = tokenizer.encode([doc.text])
        ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
        first = [piece + 1 for piece in find_first_pieces(pieces, doc)]
        bert(torch.tensor([ids])).last_hidden_state[0][first].backward(d_doc)
    expected = {name: p.grad for name, p in bert.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in module.bert.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4)


def test_bf16_is_close_to_fp32(checkpoint):
    docs = make_docs(20)
    exact = build(checkpoint).predict(docs).vectors["tokens"]
    rough = build(checkpoint, precision="bf16").predict(docs).vectors["tokens"]
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert torch.nn.functional.cosine_similarity(rough, exact).min() > 0.99


@pytest.mark.parametrize(
    ("frozen_layers", "learning"),
    [
        ("none", {"embeddings", "encoder.layer.0", "encoder.layer.1"}),
        ("embeddings", {"encoder.layer.0", "encoder.layer.1"}),
        (1, {"encoder.layer.1"}),
        ("1", {"encoder.layer.1"}),
        ("all_but_last", {"encoder.layer.1"}),
        ("all", set()),
    ],
)
def test_frozen_layers_do_not_learn(checkpoint, frozen_layers, learning):
    from spacy_bertft.training.optimizer import configure_adamw

    model = build(checkpoint, frozen_layers=frozen_layers)
    bert = model.module.bert
    before = {name: parameter.clone() for name, parameter in bert.named_parameters()}
    encoded, backprop = model.begin_update(make_docs(4))
    backprop({"tokens": torch.randn_like(encoded.vectors["tokens"])})
    model.finish_update(configure_adamw(1e-3))
    changed = {name for name, parameter in bert.named_parameters() if not torch.equal(parameter, before[name])}
    parts = ("embeddings", "encoder.layer.0", "encoder.layer.1")
    assert {part for part in parts for name in changed if name.startswith(part)} == learning


def test_layers_below_learn_slower(checkpoint):
    from spacy_bertft.training.optimizer import configure_adamw

    model = build(checkpoint, layer_lr_decay=0.5)
    bert = model.module.bert
    name = "encoder.layer.{}.output.dense.weight"
    before = [bert.get_parameter(name.format(i)).clone() for i in range(2)]
    encoded, backprop = model.begin_update(make_docs(4))
    backprop({"tokens": torch.randn_like(encoded.vectors["tokens"])})
    model.finish_update(configure_adamw(1e-3, weight_decay=0.0))
    # The first step of Adam moves every weight by about the learning rate, whatever its gradient.
    steps = [(bert.get_parameter(name.format(i)) - before[i]).abs().median().item() for i in range(2)]
    assert steps == pytest.approx([0.5e-3, 1e-3], rel=0.01)


def test_nothing_is_read_before_initialize():
    model = build_bert_encoder("/nowhere")
    with pytest.raises(NotInitializedError, match="Call nlp"):
        model.predict([nlp.make_doc("a")])
    with pytest.raises(CheckpointNotFoundError) as raised:
        model.initialize()
    assert raised.value.name == "/nowhere"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("precision", "fp8"),
        ("max_pieces", 0),
        ("window", 65),
        ("window", 2),
        ("stride", 63),
        ("layer_lr_decay", 0.0),
        ("frozen_layers", 3),
        ("frozen_layers", "some"),
    ],
)
def test_settings_outside_what_is_allowed(checkpoint, setting, value):
    with pytest.raises(SettingError) as raised:
        build_bert_encoder(checkpoint, **{setting: value}).initialize()
    assert raised.value.name == setting
    assert raised.value.value == value


@pytest.mark.parametrize("n_words", [pytest.param(8190, marks=pytest.mark.slow), 700])
def test_a_window_may_be_as_long_as_the_model_can_read(n_words, tmp_path):
    model = make_model("modernbert", "token", max_position_embeddings=n_words + 2)
    folder = str(save_model(model, tmp_path))
    doc = nlp.make_doc(" ".join(np.random.default_rng(0).choice(list("abcdefghijklmnopqrst"), n_words)))
    encoder = build(folder, window=n_words + 2)
    encoded = encoder.predict([doc])
    ids = torch.tensor([make_word_level().encode(doc.text).ids])
    with torch.inference_mode():
        expected = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1]
    assert encoded.window_lengths.tolist() == [n_words + 2]
    np.testing.assert_allclose(encoded.vectors["tokens"], expected, atol=1e-5)
    with pytest.raises(SettingError, match=f"at most {n_words + 2}, "):
        build(folder, window=n_words + 3)


def test_a_window_of_bigbird_is_not_longer_than_its_full_attention(tmp_path):
    """Beyond 704 subword tokens, the texts of a batch would change each other's states."""
    folder = str(save_model(make_model("big_bird", "token", max_position_embeddings=4096), tmp_path))
    assert build(folder, window=704).window.size == 702
    with pytest.raises(SettingError, match="at most 704, "):
        build(folder, window=705)


def test_only_families_of_text_encoders_are_built(checkpoint, tmp_path):
    """Others may name a second model in their configuration, and transformers would fetch it."""
    folder = make_checkpoint(tmp_path / "other")
    config = srsly.read_json(folder / "config.json")
    srsly.write_json(folder / "config.json", config | {"model_type": "detr", "backbone": "someone/else"})
    with pytest.raises(CheckpointError, match="detr"):
        build(folder)
