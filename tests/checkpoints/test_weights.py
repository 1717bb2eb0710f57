"""Weights as safetensors, and nothing but safetensors."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from spacy_bertft.checkpoints import Weights
from spacy_bertft.checkpoints.weights import (
    list_weights,
    load_weights,
    read_weights,
    weights_from_bytes,
    weights_to_bytes,
)
from spacy_bertft.errors import CheckpointError

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool)


def make_weights() -> Weights:
    return {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(4), "c": torch.zeros(0, 3)}


def same(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) and left[name].dtype == right[name].dtype for name in left
    )


class Canary:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def write_shards(folder: Path, shards: dict[str, Weights]) -> None:
    weight_map = {name: file for file, weights in shards.items() for name in weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    for file, weights in shards.items():
        save_file(weights, folder / file)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.sampled_from(DTYPES), st.integers(0, 3))))
@settings(max_examples=30)
def test_bytes_keep_every_weight(kinds: dict[str, tuple[torch.dtype, int]]) -> None:
    kinds.pop("__metadata__", None)
    weights = {name: torch.arange(n * 2).reshape(2, n).to(dtype) for name, (dtype, n) in kinds.items()}
    assert same(weights_from_bytes(weights_to_bytes(weights)), weights)


def test_tied_transposed_and_learning_weights_are_kept() -> None:
    tied = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    weights = {"in": tied, "out": tied, "part": tied[0], "turned": tied.T}
    assert same(weights_from_bytes(weights_to_bytes(weights)), weights)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"x" + b])
def test_damaged_bytes_are_named(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CheckpointError, match="The stored weights are damaged: "):
        weights_from_bytes(damage(weights_to_bytes(make_weights())))


def test_one_file_is_read(tmp_path: Path) -> None:
    save_file(make_weights(), tmp_path / "model.safetensors")
    assert same(read_weights(tmp_path), make_weights())


def test_shards_are_read(tmp_path: Path) -> None:
    weights = make_weights()
    write_shards(tmp_path, {"model-1.safetensors": {"a": weights["a"]}, "model-2.safetensors": weights})
    assert same(read_weights(tmp_path), weights)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors .* Save the model with save_pretrained"):
        read_weights(tmp_path)


@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_pickle_is_read_for_its_tensors_only(is_zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(make_weights(), path, _use_new_zipfile_serialization=is_zipped)
    assert same(read_weights(tmp_path), make_weights())
    assert same(read_weights(tmp_path, {"a", "elsewhere"}), {"a": make_weights()["a"]})
    assert list_weights(tmp_path) == make_weights().keys()
    torch.save(make_weights() | {"d": Canary(tmp_path / "opened")}, path, _use_new_zipfile_serialization=is_zipped)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin holds more than tensors, or is damaged"):
        read_weights(tmp_path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a pickle"])
def test_a_damaged_pickle_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin holds more than tensors, or is damaged"):
        read_weights(tmp_path)


def test_a_bare_pickle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "opened"), protocol=2))
    with pytest.raises(CheckpointError):
        read_weights(tmp_path)
    assert not (tmp_path / "opened").exists()


def test_safetensors_come_first(tmp_path: Path) -> None:
    save_file(make_weights(), tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "opened")))
    assert same(read_weights(tmp_path), make_weights())
    assert same(read_weights(tmp_path, {"a"}), {"a": make_weights()["a"]})
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickle_under_another_name_is_not_opened(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(Canary(tmp_path / "opened"), protocol)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read as safetensors: "):
        read_weights(tmp_path)
    with pytest.raises(CheckpointError):
        weights_from_bytes(content)
    assert not (tmp_path / "opened").exists()
    pickle.loads(content)
    assert (tmp_path / "opened").exists()  # the canary sings


@pytest.mark.parametrize("n_bytes", [0, 4, 100])
def test_a_damaged_file_is_named(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(make_weights(), path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read as safetensors: "):
        read_weights(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, {"model-1.safetensors": make_weights()})
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors cannot be read as safetensors: "):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/secret.safetensors", "sub/x.safetensors", "..", "", 3, None]
)
def test_an_index_cannot_name_files_outside(name: object, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(make_weights(), tmp_path / "secret.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match=r"index\.json names files outside its folder"):
        read_weights(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"weight_map": ["a"]}'])
def test_a_damaged_index_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"index\.json cannot be read as an index of shards"):
        read_weights(tmp_path)


def test_weights_are_copied_into_a_module() -> None:
    module = torch.nn.Linear(3, 2)
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2), "of_a_head": torch.zeros(9)}
    load_weights(module, weights, "here")
    weights["weight"] += 1
    assert torch.equal(module(torch.ones(1, 3)), torch.full((1, 2), 3.0))


def test_missing_and_misshapen_weights_are_all_named_and_nothing_changes() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    weights = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(2), "1.weight": torch.ones(2)}
    with pytest.raises(CheckpointError) as caught:
        load_weights(module, weights, "some/where")
    assert str(caught.value) == (
        "The weights in some/where do not fit its configuration; missing: 1.bias; "
        "misshapen: 0.weight (3, 2) instead of (2, 3), 1.weight (2,) instead of (2, 2)."
    )
    assert same(module.state_dict(), before)


@pytest.mark.parametrize(
    ("weights", "problem"),
    [({"weight": torch.ones(2, 3)}, "missing: bias."), ({"weight": torch.ones(1), "bias": torch.ones(2)}, "(2, 3).")],
)
def test_one_kind_of_misfit_is_enough(weights: Weights, problem: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_weights(torch.nn.Linear(3, 2), weights, "here")
    assert str(caught.value).endswith(problem)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_of_any_format_become_those_of_the_module(dtype: torch.dtype) -> None:
    for may_keep in (False, True):
        module = torch.nn.BatchNorm1d(3)  # it has buffers too, one of integers
        weights = {name: torch.full_like(tensor, 0.5).to(dtype) for name, tensor in module.state_dict().items()}
        weights["num_batches_tracked"] = torch.tensor(7)
        load_weights(module, weights, "here", may_keep=may_keep)
        assert module.weight.dtype == module.running_mean.dtype == torch.float32
        assert (module.weight == 0.5).all()
        assert (module.running_mean == 0.5).all()
        assert int(module.num_batches_tracked) == 7
        module(torch.ones(2, 3)).sum().backward()
        assert module.bias.grad is not None
        kept = module.weight.data_ptr() == weights["weight"].data_ptr()
        assert kept == (may_keep and dtype == torch.float32)
