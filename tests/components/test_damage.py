"""What is stored of a component, damaged in every way: one clear error, and what worked before still works."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import srsly
import torch
from damaged import DAMAGES, Canary, expect_named, is_refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors
from spacy.language import Language

from reliability.fuzz.tiny import FACTORIES, annotate, make_tiny_checkpoint, make_tiny_pipeline

pytestmark = pytest.mark.hostile

TEXT = "a b c d"


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Language]:
    """Give what makes a pipeline of one component of ours, and of a head that listens where it is an encoder."""
    checkpoint = make_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return lambda factory, **settings: make_tiny_pipeline(factory, checkpoint, **settings)


def list_files(nlp: Language, folder: Path) -> list[str]:
    nlp.get_pipe(nlp.pipe_names[0]).to_disk(folder, exclude=["vocab"])
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_damaged_file_is_named_and_the_component_works_as_before(factory, make, tmp_path):
    nlp = make(factory)
    pipe, before = nlp.get_pipe(factory), annotate(nlp)
    files = list_files(make(factory, seed=1), tmp_path / "whole")
    assert files == ["cfg", "model"]
    for file in files:
        for damage, apply in DAMAGES.items():
            folder, canary = tmp_path / f"{file}, {damage}", tmp_path / "canary"
            shutil.copytree(tmp_path / "whole", folder)
            apply(folder / file, canary)
            with expect_named(factory, str(folder / file)):
                pipe.from_disk(folder, exclude=["vocab"])
            assert not canary.exists(), damage
            assert annotate(nlp) == before, damage
    pipe.from_disk(tmp_path / "whole", exclude=["vocab"])
    assert annotate(nlp) != before
    assert gc.isenabled()


@pytest.mark.parametrize("factory", FACTORIES)
def test_damaged_bytes_are_named_and_the_component_works_as_before(factory, make, tmp_path):
    nlp = make(factory)
    pipe, before = nlp.get_pipe(factory), annotate(nlp)
    content = make(factory, seed=1).get_pipe(factory).to_bytes()
    path, canary = tmp_path / "content", tmp_path / "canary"
    for damage, apply in DAMAGES.items():
        path.write_bytes(content)
        apply(path, canary)
        if path.is_file():
            with expect_named(factory, "its bytes"):
                pipe.from_bytes(path.read_bytes())
            assert annotate(nlp) == before, damage
            path.unlink()
        assert not canary.exists(), damage
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    parts = srsly.msgpack_loads(content)
    assert parts.keys() == {"cfg", "model", "vocab"}
    for part, stored in parts.items():
        for damaged in (stored[:-1], stored[: len(stored) // 2], b"", b"\xff" * len(stored), None, 3, [stored]):
            with expect_named(factory, f"'{part}' in its bytes"):
                pipe.from_bytes(srsly.msgpack_dumps({**parts, part: damaged}))
            assert annotate(nlp) == before, part
    with expect_named(factory, "its bytes", "modal"):
        pipe.from_bytes(srsly.msgpack_dumps({"cfg": parts["cfg"], "modal": parts["model"]}))
    assert gc.isenabled()
    pipe.from_bytes(content)
    assert annotate(nlp) != before


@pytest.fixture(scope="module")
def ready(make):
    """Give for each factory a pipeline that works, the bytes of its component, and its answers."""
    made = {}
    for factory in FACTORIES:
        nlp = make(factory)
        made[factory] = nlp, nlp.get_pipe(factory).to_bytes(exclude=["vocab"]), annotate(nlp)
    return made


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FACTORIES), st.data())
def test_flipped_bits_are_refused_or_harmless(ready, factory, data):
    nlp, content, before = ready[factory]
    flipped = bytearray(content)
    for position in data.draw(st.lists(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=4)):
        flipped[position // 8] ^= 1 << position % 8
    pipe = nlp.get_pipe(factory)
    if is_refused(lambda: pipe.from_bytes(bytes(flipped))):
        assert annotate(nlp) == before
    else:
        is_refused(lambda: annotate(nlp))  # with other numbers in its weights, it works nonetheless
        pipe.from_bytes(content)
        assert annotate(nlp) == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FACTORIES), st.data())
def test_bytes_cut_anywhere_are_refused(ready, factory, data):
    nlp, content, before = ready[factory]
    size = data.draw(st.integers(0, len(content) - 1))
    with expect_named(factory):
        nlp.get_pipe(factory).from_bytes(content[:size])
    assert annotate(nlp) == before


def change_model(content: bytes, change: Callable[[Any], None]) -> bytes:
    """Change the message of a model and encode it again."""
    parts = srsly.msgpack_loads(content)
    message = srsly.msgpack_loads(parts["model"])
    change(message)
    return srsly.msgpack_dumps({**parts, "model": srsly.msgpack_dumps(message)})


def change_shim(node: int, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Callable[[Any], None]:
    """Make a change of the description and the weights that one node of a model has."""

    def apply(message: Any) -> None:
        stored = srsly.msgpack_loads(message["shims"][node][0])
        weights = safetensors.load(stored["weights"])
        change(stored["spec"], weights)
        message["shims"][node][0] = srsly.msgpack_dumps({**stored, "weights": safetensors.save(weights)})

    return apply


def set_config(**fields: Any) -> Callable[[Any], None]:
    return change_shim(1, lambda spec, weights: spec["config"].update(fields))


def set_weight(node: int, name: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], None]:
    return change_shim(node, lambda spec, weights: weights.update({name: make(weights[name]).contiguous()}))


def set_attr(name: str, value: Any) -> Callable[[Any], None]:
    return lambda message: message["attrs"][0].update({name: srsly.msgpack_dumps(value)})


WORDS = "bert.embeddings.word_embeddings.weight"
MODEL_CHANGES: Mapping[str, tuple[Callable[[Any], None], str]] = {
    "no number": (
        set_weight(0, "linear.weight", lambda t: t * float("nan")),
        "not usable numbers: linear.weight",
    ),
    "infinite": (set_weight(1, WORDS, lambda t: t.fill_(float("inf"))), f"not usable numbers: {WORDS}"),
    "whole numbers": (set_weight(1, WORDS, lambda t: t.to(torch.int8)), f"not usable numbers: {WORDS}"),
    "turned": (set_weight(1, WORDS, lambda t: t.T), f"misshapen: {WORDS} (4, 23) instead of (23, 4)"),
    "no weights": (change_shim(1, lambda spec, weights: weights.clear()), "and 1"),
    "too wide": (set_config(hidden_size=10**9), "far larger than its weights"),
    "too deep": (set_config(num_hidden_layers=10**9), "num_hidden_layers = 1000000000"),
    "too long": (set_config(max_position_embeddings=10**12), "far larger than its weights"),
    "too many words": (set_config(vocab_size=10**12), "far larger than its weights"),
    "too few words": (set_config(vocab_size=22), "23 subword tokens, its model only 22"),
    "padding": (set_config(pad_token_id=23), "Padding_idx must be within num_embeddings"),
    "no family": (set_config(model_type="evil"), "'evil' is no encoder of text"),
    "no name of a family": (set_config(model_type=["bert"]), "unhashable type: 'list'"),
    "no tokenizer": (
        change_shim(1, lambda spec, weights: spec.update(tokenizer="{}")),
        "tokenizer.json cannot be read",
    ),
    "no description": (change_shim(0, lambda spec, weights: spec.clear()), "it has no description"),
    "a wide head": (change_shim(0, lambda spec, weights: spec.update(width=10**9)), "far larger than its weights"),
    "a negative head": (change_shim(0, lambda spec, weights: spec.update(n_labels=-1)), "negative dimension"),
    "a name for a width": (change_shim(0, lambda spec, weights: spec.update(width="4")), "The stored model is damaged"),
    "another dimension": (lambda message: message["nodes"][1]["dims"].update(nO=5), "5"),
    "a negative dimension": (lambda message: message["nodes"][1]["dims"].update(nO=-4), "Expected sizes of ('nO',)"),
    "more dimensions": (lambda message: message["nodes"][1]["dims"].update(nI=4), "Expected sizes of ('nO',)"),
    "another count": (set_attr("n_labels", 2), "Expected one for each of 2"),
    "no count": (set_attr("n_labels", [2]), "'n_labels' of 'text_classifier'"),
    "settings": (set_attr("settings", "x"), "'settings' of 'text_classifier'"),
    "a check": (set_attr("check_stored", 1), "'check_stored' of 'text_classifier'"),
    "unknown outputs": (
        lambda message: message["attrs"][1].update(outputs=srsly.msgpack_dumps(["secrets"])),
        "asks its encoder for secrets",
    ),
    "a node less": (lambda message: [part.pop() for part in message.values()], "not of this architecture"),
    "a part less": (lambda message: message.pop("shims"), "not of this architecture"),
    "a shim more": (lambda message: message["shims"][0].append(b""), "not of this architecture"),
    "a reference": (lambda message: message["nodes"][0]["refs"].update(encoder=1), "other weights"),
    "a parameter": (lambda message: message["params"][0].update(W=np.zeros(10)), "other weights"),
}


@pytest.mark.parametrize("change", MODEL_CHANGES)
def test_what_does_not_fit_is_named_and_the_component_works_as_before(change, make):
    nlp = make("bert_textcat")
    pipe, before = nlp.get_pipe("bert_textcat"), annotate(nlp)
    apply, problem = MODEL_CHANGES[change]
    content = make("bert_textcat", seed=1).get_pipe("bert_textcat").to_bytes()
    with expect_named("bert_textcat: 'model' in its bytes: ", problem):
        pipe.from_bytes(change_model(content, apply))
    assert annotate(nlp) == before
    blank = spacy.blank("en").add_pipe("bert_textcat", config={"model": {"encoder": {"name": "nowhere/at-all"}}})
    with expect_named("bert_textcat: 'model' in its bytes: ", problem):
        blank.from_bytes(change_model(content, apply))


CFG_CHANGES = [
    ("bert_ner", {"labels": ["X", "Y"]}, "not those of the model"),
    ("bert_ner", {"labels": ["X", "Y", "A"]}, "not those of the model"),
    ("bert_ner", {"labels": ["X", "Y", "Y"]}, "no list of different names"),
    ("bert_ner", {"labels": ["X", "Y", 3]}, "no list of different names"),
    ("bert_ner", {"labels": ["X", "Y", ""]}, "no list of different names"),
    ("bert_ner", {"labels": "XYZ"}, "no list of different names"),
    ("bert_ner", {"temperature": 0}, "temperature is 0"),
    ("bert_ner", {"temperature": "1"}, "temperature is '1'"),
    ("bert_ner", {"min_score": 2}, "It holds min_score"),
    ("bert_ner", {"label\ns\ud800": 2}, "It holds label\\ns\\ud800"),
    ("bert_ner", {"x" * 5000: 2}, "Expected labels, ignore_unknown, temperature"),
    ("bert_tagger", {"labels": ["Y", "X", "Z"]}, "not those of the model"),
    ("bert_textcat", {"labels": ["X", "Y"], "label_weights": [1, 1]}, "not those of the model"),
    ("bert_textcat", {"label_weights": [1, 1]}, "label_weights"),
    ("bert_textcat", {"label_weights": [1, 1, "1"]}, "label_weights"),
    ("bert_textcat", {"positive_label": "A"}, "positive_label is 'A'"),
    ("bert_textcat_multilabel", {"label_weights": 3}, "label_weights"),
    ("bert_encoder", {"labels": []}, "It holds labels"),
]


@pytest.mark.parametrize(("factory", "changes", "problem"), CFG_CHANGES)
def test_a_cfg_that_does_not_fit_is_named_and_the_component_works_as_before(factory, changes, problem, make, tmp_path):
    nlp = make(factory)
    pipe, before = nlp.get_pipe(factory), annotate(nlp)
    make(factory, seed=1).get_pipe(factory).to_disk(tmp_path, exclude=["vocab"])
    (tmp_path / "cfg").write_text(json.dumps({**srsly.read_json(tmp_path / "cfg"), **changes}))
    with expect_named(f"{factory}: ", problem):
        pipe.from_disk(tmp_path, exclude=["vocab"])
    assert annotate(nlp) == before


@pytest.mark.parametrize(
    "content",
    ["[]", "3", "null", '"x"', "{", '{"labels": NaN}', "[" * 5000, '{"labels": {}}', '{"labels": ["\\ud800"]}'],
)
def test_a_cfg_that_is_none_is_named(content, make, tmp_path):
    nlp = make("bert_ner")
    nlp.to_disk(tmp_path)
    path = tmp_path / "bert_ner" / "cfg"
    path.write_text(content)
    with expect_named(f"bert_ner: {path}: "):
        spacy.load(tmp_path)


def test_a_head_over_an_encoder_of_another_width_says_so(make, tmp_path):
    nlp = make("bert_encoder")
    wide = make_tiny_checkpoint(tmp_path / "wide", hidden_size=8)
    other = spacy.blank("en").add_pipe("bert_encoder", config={"model": {"name": str(wide), "precision": "fp32"}})
    other.initialize(lambda: [])
    other.to_disk(tmp_path / "stored", exclude=["vocab"])
    nlp.to_disk(tmp_path / "pipeline")
    shutil.copyfile(tmp_path / "stored" / "model", tmp_path / "pipeline" / "bert_encoder" / "model")
    mixed = spacy.load(tmp_path / "pipeline")
    with pytest.raises(ValueError, match=r"the states of the encoder has shape .* Expected a width of 4, as trained"):
        mixed(TEXT)
    assert mixed.get_pipe("bert_encoder").model.module.width == 8


def test_a_folder_of_spacy_with_unknown_settings_is_an_error_of_spacy_or_of_ours(make, tmp_path):
    make("bert_ner").to_disk(tmp_path)
    config = (tmp_path / "config.cfg").read_text()
    for old, new, problem in (
        ("window = null", "window = null\nwindows = 3", "windows"),
        ("window = null", 'window = "wide"', "window"),
        ("window = null", "window = 0", "window = 0. Expected a positive number of subword tokens"),
        ('decoder = "crf"', 'decoder = "evil"', "decoder"),
        ('factory = "bert_ner"', 'factory = "bert_evil"', "bert_evil"),
        ("spacy-bertft.BertEncoder.v1", "evil.Encoder.v1", "evil.Encoder.v1"),
    ):
        assert config.count(old) == 1
        (tmp_path / "config.cfg").write_text(config.replace(old, new))
        with pytest.raises(ValueError, match=problem):  # of pydantic, of confection, of spaCy and of ours
            spacy.load(tmp_path)


def test_an_adapter_that_is_damaged_is_named_and_the_component_works_as_before(make, tmp_path):
    pytest.importorskip("peft", reason="the extra peft is not installed")
    lora = {"adapter": {"@misc": "spacy-bertft.LoRA.v1", "rank": 1}}
    nlp = make("bert_textcat", **lora)
    pipe, before = nlp.get_pipe("bert_textcat"), annotate(nlp)
    file = "adapter/adapter_model.safetensors"
    assert list_files(make("bert_textcat", seed=1, **lora), tmp_path / "whole") == [
        "adapter/adapter_config.json",
        file,
        "cfg",
        "model",
    ]
    for damage, apply in DAMAGES.items():
        folder, canary = tmp_path / damage, tmp_path / "canary"
        shutil.copytree(tmp_path / "whole", folder)
        apply(folder / file, canary)
        with expect_named("bert_textcat", str(folder / "adapter")):
            pipe.from_disk(folder, exclude=["vocab"])
        assert not canary.exists(), damage
        assert annotate(nlp) == before, damage
    # The description that peft would read is not ours to read.
    (tmp_path / "whole" / "adapter" / "adapter_config.json").write_bytes(b"\xff")
    pipe.from_disk(tmp_path / "whole", exclude=["vocab"])
    assert annotate(nlp) != before


def test_the_canary_sings(tmp_path):
    import pickle

    pickle.loads(pickle.dumps(Canary(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()
