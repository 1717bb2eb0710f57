"""Whole checkpoints: read, and refused with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_checkpoints import FAMILIES
from tokenizers import Tokenizer

from spacy_bertft.checkpoints import read_checkpoint, read_tokenizer
from spacy_bertft.checkpoints.checkpoint import read_config
from spacy_bertft.errors import CheckpointError, CheckpointNotFoundError


@pytest.fixture
def folder(checkpoint: str, tmp_path: Path) -> Path:
    """Copy a small BERT, to be damaged."""
    return Path(shutil.copytree(checkpoint, tmp_path / "bert"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_what_its_folder_holds(family: str, checkpoints: Callable[..., Path]) -> None:
    folder = checkpoints(family)
    checkpoint = read_checkpoint(str(folder))
    stored = load_file(folder / "model.safetensors")
    assert checkpoint.name == str(folder)
    assert checkpoint.config["model_type"] == family
    assert checkpoint.weights.keys() == stored.keys()
    assert all(torch.equal(checkpoint.weights[name], tensor) for name, tensor in stored.items())
    assert checkpoint.tokenizer.json == (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert checkpoint.tokenizer.json == read_tokenizer(str(folder)).json
    assert checkpoint.tokenizer.vocab_size == checkpoint.config["vocab_size"]


def test_fields_that_name_code_are_left_out(folder: Path) -> None:
    edit_config(
        folder, auto_map={"AutoModel": "evil.Model"}, _attn_implementation="someone/kernel", architectures=["X"]
    )
    config = read_checkpoint(str(folder)).config
    assert config["architectures"] == ["X"]
    assert not {"auto_map", "_attn_implementation"} & config.keys()


@pytest.mark.parametrize("read", [read_checkpoint, read_tokenizer])
def test_a_missing_folder_is_named(read: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError) as caught:
        read(str(tmp_path / "none"))
    assert caught.value.name == str(tmp_path / "none")


def test_a_folder_without_config_is_named(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"bert holds no config\.json\. Expected a folder written by"):
        read_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", r"config\.json is not JSON"),
        (b"\xff\xfe", r"config\.json is not JSON"),
        (b"[1]", r"config\.json names no model_type"),
        (b"{}", r"config\.json names no model_type"),
        (b'{"model_type": 3}', r"config\.json names no model_type"),
    ],
)
def test_a_damaged_config_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=problem):
        read_config(tmp_path)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(folder: Path) -> None:
    size = read_tokenizer(str(folder)).vocab_size
    edit_config(folder, vocab_size=size - 1)
    with pytest.raises(CheckpointError, match=rf"bert has {size} subword tokens, its model only {size - 1}:"):
        read_checkpoint(str(folder))
    edit_config(folder, vocab_size=size + 1)
    assert read_checkpoint(str(folder)).config["vocab_size"] == size + 1


def test_a_vocabulary_size_that_is_no_number_is_named(folder: Path) -> None:
    edit_config(folder, vocab_size="many")
    with pytest.raises(CheckpointError, match="vocab_size 'many'"):
        read_checkpoint(str(folder))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[]"])
def test_a_damaged_tokenizer_is_named(content: bytes, folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_tokenizer(str(folder))


def test_a_folder_without_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"bert holds no tokenizer\.json, and none could be made: ."):
        read_checkpoint(str(folder))


def test_a_vocabulary_without_words_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    with pytest.raises(CheckpointError, match="its vocabulary has special tokens only"):
        read_checkpoint(str(folder))


def test_a_tokenizer_is_made_from_a_vocabulary(folder: Path) -> None:
    official = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocab = sorted(official.get_vocab(), key=official.get_vocab().__getitem__)
    (folder / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")
    stored = read_tokenizer(str(folder))
    (folder / "tokenizer.json").unlink()
    made = read_tokenizer(str(folder))
    texts = ["Show me films with Drew Barrymore", "naïve?"]
    assert made.encode(texts).ids.tolist() == stored.encode(texts).ids.tolist()
    assert (made.prefix_ids, made.suffix_ids) == (stored.prefix_ids, stored.suffix_ids)
