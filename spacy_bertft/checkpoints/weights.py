"""Weights as safetensors, in files and in bytes. Nothing here unpickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import srsly
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors

from ..errors import CheckpointError
from ..output import replace_when_done

Weights = dict[str, torch.Tensor]


def read_weights(folder: Path) -> Weights:
    """Read all tensors of a checkpoint folder, from one file or from shards.

    Raises:
        CheckpointError: The folder has no safetensors, or they cannot be read.
    """
    weights: Weights = {}
    for path in _find_files(folder):
        weights.update(read_weight_file(path))
    return weights


def read_weight_file(path: Path) -> Weights:
    """Read the tensors of one file.

    Raises:
        CheckpointError: It cannot be read as safetensors.
    """
    try:
        weights: Weights = safetensors.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    return weights


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


def load_weights(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Put weights into a module; names and shapes must match exactly.

    Args:
        module: Receives copies of the tensors.
        weights: By the names of the module's own state.
        source: Where the weights come from, for the error.

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
    module.load_state_dict({name: weights[name] for name in own})


def _find_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors. Save the model with save_pretrained() first.")
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
