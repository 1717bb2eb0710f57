"""Weights in files and in bytes. What is written is safetensors; nothing here unpickles code.

A checkpoint that has no safetensors is read from `pytorch_model.bin` by torch's loader of tensors only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError

import srsly
import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors

from ..errors import CheckpointError
from ..output import replace_when_done

Weights = dict[str, torch.Tensor]


def list_weights(folder: Path) -> set[str]:
    """List the names of all tensors of a checkpoint folder.

    Raises:
        CheckpointError: The folder has no weights, or they cannot be read.
    """
    return {name for path in _find_files(folder) for name in _list_file(path)}


def read_weights(folder: Path, names: Collection[str] | None = None) -> Weights:
    """Read tensors of a checkpoint folder, from one file or from shards.

    Args:
        folder: The folder.
        names: Which tensors, of which those that are there are read; by default all.

    Raises:
        CheckpointError: The folder has no weights, or they cannot be read.
    """
    weights: Weights = {}
    for path in _find_files(folder):
        weights.update(read_weight_file(path, names))
    return weights


def read_weight_file(path: Path, names: Collection[str] | None = None) -> Weights:
    """Read the tensors of one file, all or some.

    Raises:
        CheckpointError: It cannot be read as safetensors, or, by its name, as tensors that torch has saved.
    """
    if path.suffix == ".bin":
        weights = _read_torch_file(path)
        return weights if names is None else {name: weights[name] for name in weights if name in names}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if names is None or name in names}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _list_file(path: Path) -> list[str]:
    if path.suffix == ".bin":
        return list(_read_torch_file(path))
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _read_torch_file(path: Path) -> Weights:
    """Read what `torch.save` wrote of a state; torch itself refuses anything but tensors and plain values."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"{path} holds more than tensors, or is damaged, and was not read: {reason[0] if reason else error!r} "
            "Save the model with save_pretrained() as safetensors."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no state of a model. Save the model with save_pretrained() again.")
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def write_weight_file(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to a file that is whole or not there."""
    with replace_when_done(path) as temporary:
        temporary.write_bytes(weights_to_bytes(weights))


def weights_to_bytes(weights: Mapping[str, torch.Tensor]) -> bytes:
    """Write tensors as the bytes of a safetensors file; tied ones, which share their memory, are written apart."""
    tensors: Weights = {}
    seen: set[int] = set()
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    content: bytes = safetensors.save(tensors)
    return content


def weights_from_bytes(content: bytes) -> Weights:
    """Read the tensors of a safetensors file.

    Raises:
        CheckpointError: The bytes are no safetensors file.
    """
    try:
        weights: Weights = safetensors.load(content)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"The stored weights are damaged: {error}. Train or export them again.") from error
    return weights


def load_weights(
    module: torch.nn.Module, weights: Mapping[str, torch.Tensor], source: str, *, may_keep: bool = False
) -> None:
    """Put weights into a module; names and shapes must match exactly. Their number format becomes the module's.

    Args:
        module: Receives copies of the tensors.
        weights: By the names of the module's own state.
        source: Where the weights come from, for the error.
        may_keep: Whether the module may keep the tensors themselves, because nobody else has them.

    Raises:
        CheckpointError: Tensors are missing or misshapen; the error names them.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - weights.keys())
    misshapen = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(own.keys() & weights.keys())
        if weights[name].shape != own[name].shape
    ]
    if missing or misshapen:
        parts = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"misshapen: {', '.join(misshapen)}"] * bool(
            misshapen
        )
        raise CheckpointError(f"The weights in {source} do not fit its configuration; {'; '.join(parts)}.")
    fitting = {name: weights[name] for name in own}
    if may_keep:
        _keep_weights(module, {name: tensor.to(own[name].dtype) for name, tensor in fitting.items()})
    else:
        module.load_state_dict(fitting)


def _keep_weights(module: torch.nn.Module, weights: Weights) -> None:
    """Make tensors the weights of a module; what is tied stays tied."""
    names: dict[torch.nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    module.load_state_dict(weights, assign=True)
    for first, *others in names.values():
        for other in others:
            parent, _, key = other.rpartition(".")
            setattr(module.get_submodule(parent), key, module.get_parameter(first))


def _find_files(folder: Path) -> list[Path]:
    """Find the files that hold the weights; safetensors first."""
    for single_name in ("model.safetensors", "pytorch_model.bin"):
        single, index = folder / single_name, folder / f"{single_name}.index.json"
        if single.is_file():
            return [single]
        if index.is_file():
            return _list_shards(folder, index)
    raise CheckpointError(
        f"{folder} holds no model.safetensors and no pytorch_model.bin. Save the model with save_pretrained() first."
    )


def _list_shards(folder: Path, index: Path) -> list[Path]:
    names = _read_index(index)
    if any(not isinstance(name, str) or name in ("", "..") or Path(name).name != name for name in names):
        raise CheckpointError(f"{index} names files outside its folder.")
    return [folder / name for name in sorted(names)]


def _read_index(path: Path) -> set[str]:
    try:
        return set(srsly.read_json(path)["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as an index of shards. Save the model with save_pretrained() again."
        ) from error
