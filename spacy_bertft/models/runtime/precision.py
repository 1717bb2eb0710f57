"""In which number format, and by which library, the encoder computes. Weights are trained in float32.

How they are stored, see `storage`.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch

from spacy_bertft.errors import MissingExtraError, SettingError

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
Backend = Literal["torch", "onnx"]
BACKENDS = ("torch", "onnx")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, backend: str = "torch") -> None:
    """Raise unless the settings are known and go together.

    Raises:
        SettingError: They do not.
        MissingExtraError: The library is not installed.
    """
    if precision not in PRECISIONS:
        raise SettingError("precision", precision, f"one of {', '.join(PRECISIONS)}")
    if backend not in BACKENDS:
        raise SettingError("backend", backend, f"one of {', '.join(BACKENDS)}")
    if backend == "torch" and precision == "int8":
        raise SettingError("precision", precision, 'backend = "onnx" beside it, which computes in int8')
    if backend == "onnx":
        if precision not in ("auto", "fp32", "int8"):
            raise SettingError("precision", precision, "auto, fp32 or int8 with the backend onnx")
        if find_spec("onnxruntime") is None or find_spec("onnx") is None:
            raise MissingExtraError("backend = onnx", "onnx")


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format that torch predicts in: with `auto`, bfloat16 where the hardware multiplies it natively."""
    if precision == "auto" and _is_bf16_native(device.type):
        return torch.bfloat16
    return DTYPES.get(precision, torch.float32)


def find_training_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format to train in: what is for predictions only gives way to `auto`."""
    return find_dtype("auto" if precision in ("fp16", "int8") else precision, device)


@cache
def _is_bf16_native(device_type: str) -> bool:
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu":
        # Private names of torch, absent from some releases: then the slower format is the safe one.
        has_avx512_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        return bool(has_avx512_bf16() or has_amx())
    return False
