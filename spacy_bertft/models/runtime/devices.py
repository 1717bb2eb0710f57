"""In which number format, by which library and on which GPU a pipeline computes. Weights are trained in float32."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from thinc import compat
from thinc.api import require_gpu
from thinc.compat import torch

from spacy_bertft.errors import MissingExtraError, SettingError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Backend = Literal["torch", "openvino", "graph"]


def check_precision(precision: str, backend: str = "torch") -> None:
    """Raise unless the settings are known, and the library is there.

    Raises:
        SettingError: One is not; 8-bit integers come with `spacy-bertft quantize`.
        MissingExtraError: The library is not installed.
    """
    for setting, value, known in (("precision", precision, Precision), ("backend", backend, Backend)):
        if value not in get_args(known):
            advice = "; for 8-bit integers see `spacy-bertft quantize`" if value == "int8" else ""
            raise SettingError(setting, value, f"one of {', '.join(get_args(known))}{advice}")
    if backend != "torch" and find_spec("openvino") is None:
        raise MissingExtraError(f"backend = {backend}", "openvino")


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format that torch predicts in: with `auto`, bfloat16 where the hardware multiplies it natively."""
    if precision == "auto" and _is_bf16_native(device.type):
        return torch.bfloat16
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


@cache
def find_training_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format to train in: what is for predictions only gives way to `auto`."""
    return find_dtype("auto" if precision == "fp16" else precision, device)


@cache
def _is_bf16_native(device_type: str) -> bool:
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private names of torch, absent from some releases: then the slower format is the safe one.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device_type == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in names)


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
    if problem := _find_problem(gpu_id, needs_cupy=needs_cupy):
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
