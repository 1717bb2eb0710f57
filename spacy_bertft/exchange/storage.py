"""In which number format the weights of an encoder are written. In memory they are float32, whatever was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from thinc.api import Model

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.runtime.precision import DTYPES
from spacy_bertft.models.store.shim import TorchShim

StoredPrecision = Literal["fp32", "bf16", "fp16"]


def check_stored_precision(precision: str) -> None:
    """Raise unless weights can be written in a format.

    Raises:
        SettingError: They cannot.
    """
    if precision not in DTYPES:
        raise SettingError("precision", precision, f"one of {', '.join(DTYPES)}")


def list_encoders(model: Model[Any, Any]) -> list[TorchShim]:
    """List what holds the encoders within a model; those that it shares with others belong to another model."""
    shims = [shim for node in model.walk() for shim in node.shims if isinstance(shim, TorchShim) and shim.spec]
    return [shim for shim in shims if isinstance(shim.module, BertModule)]


@contextmanager
def store_encoders(model: Model[Any, Any], precision: StoredPrecision) -> Iterator[None]:
    """Write the weights of the encoders of a model in a format for a while.

    A head stays in float32: it is small, and computes in float32 always. An encoder that predicts in bfloat16 rounds
    its weights in the same way, so that its states stay the same to the bit.

    Args:
        model: A model of a component.
        precision: The format.

    Raises:
        SettingError: Weights are larger than the format can hold.
    """
    check_stored_precision(precision)
    dtype = DTYPES[precision]
    encoders = list_encoders(model)
    for shim in encoders:
        largest = max(float(parameter.detach().abs().max()) for parameter in shim.module.parameters())
        if largest > torch.finfo(dtype).max:
            raise SettingError("precision", precision, f"bf16 or fp32, since there are weights as large as {largest:g}")
    for shim in encoders:
        shim.stored_dtype = dtype
    try:
        yield
    finally:
        for shim in encoders:
            shim.stored_dtype = None
