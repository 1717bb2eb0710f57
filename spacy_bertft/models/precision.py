"""In which number format the encoder computes. Weights are trained in float32; how they are stored, see `storage`."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch

from ..errors import SettingError

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS = ("auto", "fp32", "bf16")


def check_precision(precision: str) -> None:
    """Raise unless the setting is known.

    Raises:
        SettingError: It is not.
    """
    if precision not in PRECISIONS:
        raise SettingError("precision", precision, f"one of {', '.join(PRECISIONS)}")


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format to compute in: with `auto`, bfloat16 where the hardware multiplies it natively."""
    if precision == "fp32" or (precision == "auto" and not _is_bf16_native(device.type)):
        return torch.float32
    return torch.bfloat16


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
