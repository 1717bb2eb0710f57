"""Adapters on disk, apart and merged, against peft itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import spacy
import srsly
import torch
from small_checkpoints import TEXTS
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModel

from spacy_bertft.checkpoints.weights import read_weight_file, weights_to_bytes, write_weight_file
from spacy_bertft.errors import CheckpointError, MissingExtraError
from spacy_bertft.models.encoder.trainable import is_adapter
from spacy_bertft.training.optimizer import configure_adamw

peft = pytest.importorskip("peft", reason="the extra peft is not installed")
CATS = ["films", "persons", "times"]
LORA = {"@misc": "spacy-bertft.LoRA.v1"}
make_doc = spacy.blank("en").make_doc
DOCS = [make_doc(text) for text in TEXTS]


def make_pipeline(folder, n_steps=3, **settings):
    """A pipeline whose adapter has learned something."""
    nlp = spacy.blank("en")
    encoder = {"name": str(folder), "precision": "fp32", "adapter": {**LORA, "rank": 4, **settings}}
    nlp.add_pipe("bert_textcat", config={"model": {"encoder": encoder}})
    examples = [Example.from_dict(nlp.make_doc(text), {"cats": {CATS[i % 3]: 1.0}}) for i, text in enumerate(TEXTS)]
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(1e-2)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def read_probs(nlp):
    return np.array([[doc.cats[label] for label in CATS] for doc in nlp.pipe(TEXTS)])


@pytest.fixture(scope="module")
def learned(checkpoint):
    return make_pipeline(checkpoint)


@pytest.fixture
def stored(learned, tmp_path):
    learned.to_disk(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # peft itself, of transformers
def test_peft_reads_the_folder(learned, stored, checkpoint):
    folder = stored / "bert_textcat" / "adapter"
    assert {path.name for path in folder.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    theirs = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(checkpoint), str(folder)).eval()
    model = learned.get_pipe("bert_textcat").model
    for doc in DOCS:
        tokenizer = model.find_source().module.tokenizer
        ids = [*tokenizer.prefix_ids, *tokenizer.encode([doc.text]).ids.tolist(), *tokenizer.suffix_ids]
        with torch.no_grad():
            expected = theirs(input_ids=torch.tensor([ids])).last_hidden_state[:, 0]
        found = model.encoder.predict([doc]).vectors["first"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_two_runs_write_the_same_files(checkpoint, stored, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    make_pipeline(checkpoint).to_disk(other)
    for path in sorted((stored / "bert_textcat").rglob("*")):
        if path.is_file() and "vocab" not in path.parts:
            assert path.read_bytes() == (other / path.relative_to(stored)).read_bytes()
    targets = srsly.read_json(stored / "bert_textcat" / "adapter" / "adapter_config.json")["target_modules"]
    assert targets == sorted(targets)


def test_the_model_holds_no_weights_of_the_adapter(learned, stored):
    bert = learned.get_pipe("bert_textcat").model.find_source().module.bert
    adapter = {name: tensor for name, tensor in bert.state_dict().items() if is_adapter(name)}
    n_bytes = len(weights_to_bytes(adapter))
    folder = stored / "bert_textcat"
    assert b".lora_" not in (folder / "model").read_bytes()
    assert b".lora_" in learned.get_pipe("bert_textcat").model.to_bytes()
    n_written = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
    assert n_written == pytest.approx(n_bytes, rel=0.1)
    # Rank 4 next to a width of 32 to 48, and a small vocabulary: real models are further apart.
    assert n_written < (folder / "model").stat().st_size / 4


@pytest.mark.parametrize("settings", [{}, {"targets": ["query", "value"], "dropout": 0.1}])
def test_round_trips(checkpoint, tmp_path, settings):
    nlp, other = make_pipeline(checkpoint, **settings), make_pipeline(checkpoint, n_steps=1, **settings)
    expected = read_probs(nlp)
    nlp.to_disk(tmp_path)
    np.testing.assert_array_equal(read_probs(spacy.load(tmp_path)), expected)
    assert np.abs(read_probs(other) - expected).max() > 1e-3
    other.from_bytes(nlp.to_bytes())
    np.testing.assert_array_equal(read_probs(other), expected)
    again = make_pipeline(checkpoint, n_steps=1, **settings)
    again.from_disk(tmp_path)
    np.testing.assert_array_equal(read_probs(again), expected)


def test_learning_goes_on_after_loading(stored):
    nlp = spacy.load(stored)
    bert = nlp.get_pipe("bert_textcat").model.find_source().module.bert
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    nlp.update([Example.from_dict(nlp.make_doc("who"), {"cats": {"films": 1.0}})], sgd=configure_adamw(1e-2))
    changed = {name for name, tensor in bert.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if is_adapter(name)}


def test_a_folder_that_is_missing_is_an_error(stored):
    (stored / "bert_textcat" / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="without which the encoder is not what was trained"):
        spacy.load(stored)


@pytest.mark.parametrize(
    ("settings", "problem"), [({"rank": 2}, "misshapen"), ({"targets": ["query"]}, "of another model")]
)
def test_a_folder_of_another_adapter_is_an_error(checkpoint, stored, tmp_path_factory, settings, problem):
    foreign = tmp_path_factory.mktemp("foreign")
    make_pipeline(checkpoint, n_steps=0, **settings).to_disk(foreign)
    name = "bert_textcat/adapter/adapter_model.safetensors"
    (stored / name).write_bytes((foreign / name).read_bytes())
    with pytest.raises(CheckpointError, match=problem):
        spacy.load(stored)


def test_a_damaged_file_is_an_error(stored):
    path = stored / "bert_textcat" / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        spacy.load(stored)


def test_weights_from_elsewhere_count(stored, learned):
    """What is in the directory is used: zeros there switch the adapter off."""
    path = stored / "bert_textcat" / "adapter" / "adapter_model.safetensors"
    weights = {name: torch.zeros_like(tensor) for name, tensor in read_weight_file(path).items()}
    write_weight_file(path, weights)
    assert np.abs(read_probs(spacy.load(stored)) - read_probs(learned)).max() > 1e-3


def test_merged_weights_need_no_peft(checkpoint, tmp_path, monkeypatch):
    nlp = make_pipeline(checkpoint, save="merged")
    expected = read_probs(nlp)
    nlp.to_disk(tmp_path)
    assert not (tmp_path / "bert_textcat" / "adapter").exists()
    content = nlp.to_bytes()
    monkeypatch.setitem(sys.modules, "peft", None)
    loaded = spacy.load(tmp_path)
    np.testing.assert_allclose(read_probs(loaded), expected, atol=1e-5)
    bert = loaded.get_pipe("bert_textcat").model.find_source().module.bert
    assert bert.state_dict().keys() == AutoModel.from_pretrained(checkpoint).state_dict().keys()
    np.testing.assert_allclose(read_probs(loaded.from_bytes(content)), expected, atol=1e-5)


def test_an_adapter_apart_can_be_merged_later(stored, learned, tmp_path_factory):
    nlp = spacy.load(stored, config={"components.bert_textcat.model.encoder.adapter.save": "merged"})
    np.testing.assert_array_equal(read_probs(nlp), read_probs(learned))
    merged = tmp_path_factory.mktemp("merged")
    nlp.to_disk(merged)
    assert not (merged / "bert_textcat" / "adapter").exists()
    np.testing.assert_allclose(read_probs(spacy.load(merged)), read_probs(learned), atol=1e-5)


def test_a_stored_adapter_without_peft(stored, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError):
        spacy.load(stored)


@pytest.mark.parametrize("copy", ["copy", "bytes"])
def test_copies(learned, copy):
    model = learned.get_pipe("bert_textcat").model
    expected = model.predict(DOCS)
    other = model.copy() if copy == "copy" else model.copy().from_bytes(model.to_bytes())
    np.testing.assert_array_equal(other.predict(DOCS), expected)
