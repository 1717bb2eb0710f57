"""Checkpoints that are damaged or hostile: one clear error, little memory, and no code is run."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from commands import run_python
from damaged import DAMAGES, Canary, expect_named, is_refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from spacy import blank

from reliability.fuzz.tiny import make_tiny_checkpoint
from spacy_bertft.checkpoints import copy_checkpoint, read_head, read_tokenizer
from spacy_bertft.errors import CheckpointError
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.models.encoder.build import build_bert_encoder

pytestmark = pytest.mark.hostile

make_doc = blank("en").make_doc
FORMATS = {
    "safetensors": ["config.json", "model.safetensors", "tokenizer.json"],
    "bin": ["config.json", "pytorch_model.bin", "tokenizer.json"],
    "shards": ["config.json", "model-1.safetensors", "model.safetensors.index.json", "tokenizer.json"],
}


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Save a tiny tagger of tokens in every format that its weights may have."""
    folder = tmp_path_factory.mktemp("formats")
    whole = make_tiny_checkpoint(folder / "safetensors", n_labels=3, id2label={0: "O", 1: "B-X", 2: "I-X"})
    config = whole / "config.json"
    config.write_text(config.read_text().strip())  # so that no byte of it is idle
    weights = load_file(whole / "model.safetensors")
    for name in ("bin", "shards"):
        shutil.copytree(whole, folder / name, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(weights, folder / "bin" / "pytorch_model.bin")
    save_file(weights, folder / "shards" / "model-1.safetensors")
    index = {"weight_map": dict.fromkeys(weights, "model-1.safetensors")}
    (folder / "shards" / "model.safetensors.index.json").write_text(json.dumps(index))
    return {name: folder / name for name in FORMATS}


@pytest.fixture
def folder(formats: dict[str, Path], tmp_path: Path) -> Path:
    """Copy the checkpoint, to be damaged."""
    return Path(shutil.copytree(formats["safetensors"], tmp_path / "tiny"))


def use(folder: Path) -> None:
    """Load the encoder of a checkpoint, its head too, and look at some texts."""
    read_head(str(folder), "token")
    encoder = build_bert_encoder(str(folder), precision="fp32")
    encoder.initialize()
    encoder.predict([make_doc("a b c"), make_doc("")])


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in FORMATS.items() for file in files])
def test_a_damaged_file_is_named_and_nothing_is_written(kind, file, formats, tmp_path):
    for damage, apply in DAMAGES.items():
        folder, canary = tmp_path / f"{file}, {damage}", tmp_path / "canary"
        shutil.copytree(formats[kind], folder)
        assert sorted(path.name for path in folder.iterdir()) == FORMATS[kind]
        apply(folder / file, canary)
        if (kind, damage) == ("bin", "longer") and file == "pytorch_model.bin":
            use(folder)  # what comes after an archive is no part of it
            continue
        with expect_named(str(folder)):
            import_hf(str(folder), tmp_path / "pipeline")
        with expect_named(str(folder)):
            use(folder)
        assert not canary.exists(), damage
        assert not (tmp_path / "pipeline").exists()


@pytest.mark.parametrize("damage", ["a folder", "a pipe", "a device without end"])
def test_what_is_no_file_is_not_copied(damage, folder, tmp_path):
    path = folder / "vocab.txt"
    path.touch()
    DAMAGES[damage](path, tmp_path)
    with expect_named(str(path), "no file"):
        copy_checkpoint(str(folder), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_links_are_followed_as_the_cache_of_the_hub_has_them(formats, folder, tmp_path):
    linked = tmp_path / "snapshot"
    linked.mkdir()
    for path in folder.iterdir():
        (linked / path.name).symlink_to(path)
    use(linked)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.sampled_from([(kind, file) for kind, files in FORMATS.items() for file in files]), st.data())
def test_flipped_and_cut_files_are_refused_or_harmless(formats, tmp_path_factory, kind_and_file, data):
    kind, file = kind_and_file
    folder = tmp_path_factory.mktemp("flipped") / kind
    shutil.copytree(formats[kind], folder)
    content = bytearray((folder / file).read_bytes())
    for position in data.draw(st.lists(st.integers(0, 8 * len(content) - 1), max_size=3)):
        content[position // 8] ^= 1 << position % 8
    size = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    (folder / file).write_bytes(content[:size])
    is_refused(lambda: use(folder))
    shutil.rmtree(folder.parent)


SETTINGS = {
    "tokenizer_config.json": {"do_lower_case": False, "strip_accents": None, "additional_special_tokens": ["<e>"]},
    "special_tokens_map.json": {"mask_token": {"content": "[MASK]", "lstrip": False}, "unk_token": "[UNK]"},
    "added_tokens.json": {"<f>": 23, "<g>": 24},
}


@settings(max_examples=100)
@given(st.sampled_from(sorted(SETTINGS)), st.data())
def test_flipped_and_cut_settings_of_a_tokenizer_are_refused_or_harmless(formats, tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("flipped")
    for file in ("config.json", "tokenizer.json"):
        shutil.copyfile(formats["safetensors"] / file, folder / file)
    content = bytearray(json.dumps(SETTINGS[name]).encode())
    for position in data.draw(st.lists(st.integers(0, 8 * len(content) - 1), max_size=3)):
        content[position // 8] ^= 1 << position % 8
    (folder / name).write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    is_refused(lambda: read_tokenizer(str(folder)).encode(["a b c"]))
    shutil.rmtree(folder)


@pytest.mark.parametrize("damage", ["a folder", "a pipe", "a device without end"])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_a_tokenizer_that_are_no_file_are_named(name, damage, folder, tmp_path):
    (folder / name).touch()
    DAMAGES[damage](folder / name, tmp_path)
    with expect_named(str(folder), name):
        use(folder)


HUGE = [
    *[
        (field, size)
        for field in ("hidden_size", "vocab_size", "intermediate_size")
        for size in (10**9, 10**12, 10**30)
    ],
    *[(field, 10**12) for field in ("max_position_embeddings", "type_vocab_size")],
    *[(field, 10**9) for field in ("num_hidden_layers", "num_attention_heads")],
]
PROBE = """
import json, resource, sys
from pathlib import Path
from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.errors import BertftError
from spacy_bertft.models.encoder.build import build_bert_encoder
folder = Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text())
build_bert_encoder(str(folder)).initialize()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for field, size in json.loads(sys.argv[2]):
    (folder / "config.json").write_text(json.dumps({**config, field: size}))
    try:
        build_bert_encoder(str(folder)).initialize()
    except BertftError as error:
        print(field, size, error)
    else:
        print("ACCEPTED", field, size)
# A label costs nothing, however many there are said to be.
(folder / "config.json").write_text(json.dumps({**config, "num_labels": 10**12}))
build_bert_encoder(str(folder)).initialize()
print("GREW", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_sizes_that_no_weights_explain_take_no_memory(folder, tmp_path):
    printed = run_python("-c", PROBE, folder, json.dumps(HUGE), cwd=tmp_path)
    assert "ACCEPTED" not in printed
    n_mb = int(printed.split("GREW")[1])
    assert n_mb < 300  # 2**24 numbers at most, and what Python itself takes


CODE = "from pathlib import Path\nPath({!r}).touch()\nclass Model: pass\nConfig = Tokenizer = Model\n"


@pytest.mark.parametrize("has_vocabulary", [False, True])
def test_code_that_a_checkpoint_brings_is_not_run(has_vocabulary, folder, tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    for name in ("modeling_evil.py", "tokenization_evil.py", "configuration_evil.py", "__init__.py"):
        (folder / name).write_text(CODE.format(str(canary)))
    auto_map = {
        "AutoConfig": "configuration_evil.Config",
        "AutoModel": "modeling_evil.Model",
        "AutoTokenizer": ["tokenization_evil.Tokenizer", "tokenization_evil.Tokenizer"],
    }
    named = {
        "auto_map": auto_map,
        "trust_remote_code": True,
        "custom_pipelines": {"x": {"impl": "modeling_evil.Model"}},
    }
    change_config(folder, **named, torch_dtype="evil", dtype="evil", attn_implementation="evil", device_map="evil")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Tokenizer", **named}))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    if has_vocabulary:  # from which transformers makes the tokenizer
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]))
        is_refused(lambda: use(folder))
    else:
        is_refused(lambda: use(folder))  # transformers 5 makes do with tokenizer.json
        (folder / "tokenizer_config.json").unlink()
        use(folder)
    change_config(folder, model_type="modeling_evil")
    with expect_named(str(folder), "" if has_vocabulary else "'modeling_evil' is no encoder of text"):
        use(folder)
    assert not canary.exists()
    exec(CODE.format(str(canary)))
    assert canary.exists()  # the canary sings


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads = 0"),
        ({"num_attention_heads": -2}, "num_attention_heads = -2"),
        ({"num_attention_heads": 3}, "hidden size"),
        ({"num_hidden_layers": 2}, "missing: encoder.layer.1."),
        ({"hidden_act": "evil"}, "evil"),
        ({"hidden_size": -4}, ""),
        ({"hidden_size": 2}, "misshapen: embeddings."),
        ({"pad_token_id": -1}, "has the pad_token_id -1"),
        ({"pad_token_id": 23}, "has the pad_token_id 23"),
        ({"pad_token_id": "[PAD]"}, "has the pad_token_id '[PAD]'"),
        ({"pad_token_id": False}, "has the pad_token_id False"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps = '1e-12'. Expected one like 1e-12"),
        ({"layer_norm_eps": None}, "layer_norm_eps = None. Expected one like 1e-12"),
        ({"layer_norm_eps": float("nan")}, ""),
        ({"hidden_act": 7}, "hidden_act = 7. Expected one like 'gelu'"),
        ({"hidden_act": None}, "hidden_act = None. Expected one like 'gelu'"),
        ({"vocab_size": 22}, "23 subword tokens, its model only 22"),
        ({"vocab_size": "many"}, "vocab_size 'many'"),
        ({"hidden_dropout_prob": 7}, "dropout"),
        ({"model_type": ["bert"]}, "names no model_type"),
        ({"id2label": {"0": "O", "1": "\ud800", "2": "I-X"}}, "half of a surrogate pair"),
        ({"id2label": {"0": "O"}}, "id2label does not name each"),
    ],
)
def test_a_config_that_makes_no_sense_is_named(fields, problem, folder):
    change_config(folder, **fields)
    with expect_named(str(folder), problem):
        use(folder)


def test_a_family_that_counts_positions_from_padding_needs_its_id(checkpoints, tmp_path):
    folder = Path(shutil.copytree(checkpoints("roberta"), tmp_path / "roberta"))
    change_config(folder, pad_token_id=None)
    with expect_named(str(folder), "no pad_token_id, from which roberta numbers positions"):
        build_bert_encoder(str(folder)).initialize()


WEIGHT_CHANGES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], None], str]] = {
    "no number": (lambda w: w["bert.embeddings.LayerNorm.weight"].fill_(float("nan")), "embeddings.LayerNorm.weight"),
    "infinite": (lambda w: w["bert.embeddings.LayerNorm.weight"].fill_(float("-inf")), "embeddings.LayerNorm.weight"),
    "integers": (lambda w: w.update({"classifier.bias": torch.ones(3).int()}), "classifier.bias"),
    "no bias": (lambda w: w.update({"classifier.bias": torch.tensor(1.0)}), "bias of shape ()"),
    "a wide head": (lambda w: w.update({"classifier.weight": torch.ones(3, 5)}), "(3, 5) instead of (3, 4)"),
}


@pytest.mark.parametrize("change", WEIGHT_CHANGES)
def test_weights_that_make_no_sense_are_named(change, folder, tmp_path):
    apply, problem = WEIGHT_CHANGES[change]
    weights = load_file(folder / "model.safetensors")
    apply(weights)
    save_file(weights, folder / "model.safetensors")
    problem = problem.replace("classifier.bias", "linear.bias")
    with expect_named(str(folder), problem):
        import_hf(str(folder), tmp_path / "pipeline")
    assert not (tmp_path / "pipeline").exists()


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63 - 1) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 82) + b'{"a":{"dtype":"F32","shape":[1000000000000,4],"data_offsets":[0,16000000000000]}} ',
        struct.pack("<Q", 74) + b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
        struct.pack("<Q", 60) + b'{"a":{"dtype":"EVIL","shape":[1],"data_offsets":[0,4]}}     ' + bytes(4),
    ],
)
def test_a_header_that_lies_is_named(content, folder):
    (folder / "model.safetensors").write_bytes(content)
    with expect_named(str(folder / "model.safetensors"), "cannot be read as safetensors"):
        use(folder)


def test_an_archive_that_would_grow_is_not_unpacked(formats, tmp_path):
    folder = Path(shutil.copytree(formats["bin"], tmp_path / "bin"))
    path = folder / "pytorch_model.bin"
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    largest = max(parts, key=lambda name: len(parts[name]))
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, bytes(50_000_000) if name == largest else content)
    assert path.stat().st_size < 200_000
    with expect_named(str(path), "compressed, which torch never does"):
        use(folder)


# What newer releases of torch say of sparse tensors.
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_a_state_may_hold_other_things_than_dense_tensors(formats, tmp_path):
    folder = Path(shutil.copytree(formats["bin"], tmp_path / "bin"))
    path = folder / "pytorch_model.bin"
    weights = torch.load(path, weights_only=True)
    name = "bert.embeddings.word_embeddings.weight"
    torch.save({**weights, 3: torch.ones(1), "note": "x", name: weights[name]}, path)
    use(folder)
    for other in (weights[name].to_sparse(), torch.ones(1).expand(10**6, 10**6), weights[name].bool(), "x"):
        torch.save({**weights, name: other}, path)
        with expect_named(str(folder), "embeddings.word_embeddings.weight"):
            use(folder)


def test_a_pickle_of_numbers_runs_nothing(formats, tmp_path):
    folder = Path(shutil.copytree(formats["bin"], tmp_path / "bin"))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps({"a": Canary(tmp_path / "canary")}, protocol)
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(CheckpointError):
            import_hf(str(folder), tmp_path / "pipeline")
        assert not (tmp_path / "canary").exists()
    pickle.loads(content)
    assert (tmp_path / "canary").exists()  # the canary sings


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t["model"]["vocab"].update(u=23), "24 subword tokens, its model only 23"),
        (lambda t: t["model"]["vocab"].update(u=2**32 - 1), "4294967296 subword tokens, its model only 23"),
        (lambda t: t["model"]["vocab"].update(u=2**40), "tokenizer.json cannot be read"),
        (lambda t: t["model"]["vocab"].update(u=-1), "tokenizer.json cannot be read"),
        (lambda t: t["model"].update(type="Evil"), "tokenizer.json cannot be read"),
        (lambda t: t.update(post_processor={"type": "Evil"}), "tokenizer.json cannot be read"),
        (lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "tokenizer.json"),
        (lambda t: t.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}}), "tokenizer.json"),
    ],
)
def test_a_tokenizer_that_does_not_match_is_named(change, problem, folder):
    change_tokenizer(folder, change)
    with expect_named(str(folder), problem):
        use(folder)
