"""In which number format the weights of an encoder are written. In memory they are float32, whatever was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.build import PretrainedModel
from spacy_bertft.models.runtime.precision import DTYPES

StoredPrecision = Literal["fp32", "bf16", "fp16"]


def check_stored_precision(precision: str) -> None:
    """Raise unless weights can be written in a format.

    Raises:
        SettingError: They cannot.
    """
    if precision not in DTYPES:
        raise SettingError("precision", precision, f"one of {', '.join(DTYPES)}")


@contextmanager
def store_encoder(encoder: PretrainedModel[Any], precision: StoredPrecision) -> Iterator[None]:
    """Write the weights of an encoder in a format for a while.

    A head stays in float32: it is small, and computes in float32 always. An encoder that predicts in bfloat16 rounds
    its weights in the same way, so that its states stay the same to the bit.

    Args:
        encoder: An initialized encoder.
        precision: The format.

    Raises:
        SettingError: Weights are larger than the format can hold.
    """
    check_stored_precision(precision)
    dtype = DTYPES[precision]
    largest = max(float(parameter.detach().abs().max()) for parameter in encoder.module.parameters())
    if largest > torch.finfo(dtype).max:
        raise SettingError("precision", precision, f"bf16 or fp32, since there are weights as large as {largest:g}")
    encoder.shim.stored_dtype = dtype
    try:
        yield
    finally:
        encoder.shim.stored_dtype = None
