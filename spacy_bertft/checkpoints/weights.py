"""Weights in files and in bytes. What is written is safetensors; nothing here unpickles code.

A checkpoint that has no safetensors is read from `pytorch_model.bin` by torch's loader of tensors only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, is_zipfile

import srsly
from thinc.compat import torch

from spacy_bertft.errors import CheckpointError, wrap_errors
from spacy_bertft.output import replace_when_done

Weights = dict[str, "torch.Tensor"]

_ADVICE = "Save the model with save_pretrained() again."
_MOST_NAMED = 5


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
    return {name: tensor for path in _find_files(folder) for name, tensor in read_weight_file(path, names).items()}


def read_weight_file(path: Path, names: Collection[str] | None = None) -> Weights:
    """Read the tensors of one file, all or some.

    Raises:
        CheckpointError: It cannot be read as safetensors, or, by its name, as tensors that torch has saved.
    """
    if path.suffix == ".bin":
        weights = _read_torch_file(path)
        return weights if names is None else {name: weights[name] for name in weights if name in names}
    with _open_safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys() if names is None or name in names}  # noqa: SIM118


def _list_file(path: Path) -> list[str]:
    if path.suffix == ".bin":
        return list(_read_torch_file(path))
    with _open_safetensors(path) as file:
        return list(file.keys())


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    with wrap_errors(f"{path} cannot be read as safetensors", _ADVICE):
        _check_opens(path)
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            yield file


def _read_torch_file(path: Path) -> Weights:
    """Read what `torch.save` wrote of a state; torch itself refuses anything but tensors and plain values."""
    with wrap_errors(f"{path} was not read", "Save the model with save_pretrained() as safetensors."):
        _check_opens(path)
    with path.open("rb") as file:
        return read_torch_state(file, str(path))


def read_torch_state(file: BinaryIO, name: str) -> Weights:
    """Read the tensors of a state that `torch.save` wrote; torch itself refuses anything but tensors and plain values.

    Args:
        file: What it wrote.
        name: The name of the file, for the error.

    Raises:
        CheckpointError: There is more in it than tensors, or it is damaged.
    """
    problem = f"{name} holds more than tensors, or is damaged, and was not read"
    with wrap_errors(problem, "Save the model with save_pretrained() as safetensors."):
        _check_uncompressed(file)
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise CheckpointError(f"{name} holds no state of a model. Save the model with save_pretrained() again.")
    return {
        name: tensor for name, tensor in content.items() if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }


def _check_opens(path: Path) -> None:
    """Raise what the system says where a file cannot be opened; to open a pipe may never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    path.open("rb").close()


def _check_uncompressed(file: BinaryIO) -> None:
    """Raise where the parts of a file are compressed: torch writes none, and of few bytes they could make very many."""
    if is_zipfile(file):
        with ZipFile(file) as archive:
            if any(
                part.compress_type != ZIP_STORED or part.file_size > part.compress_size for part in archive.filelist
            ):
                raise ValueError("its parts are compressed, which torch never does")


def write_weight_file(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to a file, atomically."""
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
    from safetensors import torch as safetensors

    return safetensors.save(tensors)


def weights_from_bytes(content: bytes) -> Weights:
    """Read the tensors of a safetensors file.

    Raises:
        CheckpointError: The bytes are no safetensors file.
    """
    with wrap_errors("The stored weights are damaged", "Train or export them again."):
        from safetensors import torch as safetensors

        return safetensors.load(content)


def load_weights(
    module: torch.nn.Module, weights: Mapping[str, torch.Tensor], source: str, *, may_keep: bool = False
) -> None:
    """Put weights into a module; names and shapes must match exactly. They are converted to the module's dtype.

    Args:
        module: Receives copies of the tensors.
        weights: By the names of the module's own state.
        source: Where the weights come from, for the error.
        may_keep: Whether the module may keep the tensors themselves, because nothing else refers to them.

    Raises:
        CheckpointError: Tensors are missing, misshapen or not of numbers; the error names them.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - weights.keys())
    misshapen = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(own.keys() & weights.keys())
        if weights[name].shape != own[name].shape
    ]
    if missing or misshapen:
        problems = {"missing": missing, "misshapen": misshapen}
        parts = [f"{problem}: {name_some(names)}" for problem, names in problems.items() if names]
        raise CheckpointError(f"The weights in {source} do not fit its configuration; {'; '.join(parts)}.")
    fitting = {name: _convert(weights[name], own[name].dtype) for name in own}
    if broken := sorted(name for name, tensor in fitting.items() if tensor is None or not _is_finite(tensor)):
        raise CheckpointError(
            f"Weights in {source} are not usable numbers: {name_some(broken)}. Expected dense tensors of "
            "finite numbers; train or export the model again."
        )
    if may_keep:
        _keep_weights(module, {name: tensor for name, tensor in fitting.items() if tensor is not None})
    else:
        module.load_state_dict(fitting)


def name_some(names: Sequence[str]) -> str:
    """List names for an error: the first ones, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name if len(name) < 150 else f"{name[:150]} …" for name in names[:_MOST_NAMED]) + more


def _convert(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """Convert a tensor to a dtype, or return None if it is not dense, or floating-point where the dtype is not."""
    is_dense = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    return tensor.to(dtype) if is_dense and tensor.is_floating_point() == dtype.is_floating_point else None


def _is_finite(tensor: torch.Tensor) -> bool:
    # `aminmax` hands on what is no number, and is twenty times as fast as to look at each.
    return not tensor.numel() or not tensor.is_floating_point() or bool(torch.stack(tensor.aminmax()).isfinite().all())


def list_tied(module: torch.nn.Module) -> list[list[str]]:
    """List the names of every parameter; tied ones have several."""
    names: dict[torch.nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return list(names.values())


def _keep_weights(module: torch.nn.Module, weights: Weights) -> None:
    """Make tensors the weights of a module; tied weights stay tied."""
    tied = list_tied(module)
    module.load_state_dict(weights, assign=True)
    for first, *others in tied:
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
    with wrap_errors(f"{index} cannot be read as an index of shards", _ADVICE):
        names = set(srsly.read_json(index)["weight_map"].values())
    if any(not isinstance(name, str) or name in ("", "..") or Path(name).name != name for name in names):
        raise CheckpointError(f"{index} names files outside its folder.")
    return [folder / name for name in sorted(names)]
