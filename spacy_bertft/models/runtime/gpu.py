"""The GPU that a pipeline computes on: which one, and what is missing for it."""

from __future__ import annotations

import sys

import torch
from thinc import compat
from thinc.api import require_gpu

from spacy_bertft.errors import SettingError


def use_gpu(gpu_id: int, *, device: str | None = None) -> None:
    """Compute on a GPU from now on, with thinc and torch. A negative number changes nothing.

    Args:
        gpu_id: Number of the GPU, -1 for the CPU.
        device: How the user named it, where that was not by its number, such as `cuda:0`.

    Raises:
        SettingError: It cannot be used: something is not installed, or there is no such GPU.
    """
    check_gpu(gpu_id, device=device)
    if gpu_id < 0:
        return
    try:
        require_gpu(gpu_id)
    except ValueError as error:
        raise _make_error(gpu_id, device, f"thinc cannot use the GPU ({error})") from error


def check_gpu(gpu_id: int, *, needs_cupy: bool = True, device: str | None = None) -> None:
    """Raise unless a GPU can be used.

    Args:
        gpu_id: Its number, -1 for the CPU.
        needs_cupy: Whether thinc computes there too, and not torch alone.
        device: How the user named it, where that was not by its number.

    Raises:
        SettingError: It cannot be used.
    """
    if gpu_id < 0 or (needs_cupy and sys.platform == "darwin"):  # thinc uses Apple's GPU there, without CUDA
        return
    problem = _find_problem(gpu_id, needs_cupy=needs_cupy)
    if problem is not None:
        raise _make_error(gpu_id, device, problem)


def _find_problem(gpu_id: int, *, needs_cupy: bool) -> str | None:
    version = torch.version.cuda or "12"  # that of PyTorch, which CuPy has to match
    missing = []
    if needs_cupy and not compat.has_cupy:
        missing.append(f"CuPy (for CUDA {version}: pip install cupy-cuda{version.split('.')[0]}x)")
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        missing.append("PyTorch built for CUDA (see pytorch.org)")
    if missing:
        return f"install {' and '.join(missing)} to use a GPU"
    n_gpus = torch.cuda.device_count()
    if not n_gpus:
        return "PyTorch finds no GPU on this machine; check its driver with nvidia-smi"
    if gpu_id >= n_gpus:
        return f"the GPUs of this machine are numbered from 0 to {n_gpus - 1}"
    if needs_cupy and not compat.has_cupy_gpu:
        return f"CuPy finds no GPU where PyTorch does; install the CuPy that is for CUDA {version}"
    return None


def _make_error(gpu_id: int, device: str | None, problem: str) -> SettingError:
    name, value, cpu = ("gpu_id", gpu_id, "-1 for the CPU") if device is None else ("device", device, "cpu")
    return SettingError(name, value, f"{cpu}; {problem}")
