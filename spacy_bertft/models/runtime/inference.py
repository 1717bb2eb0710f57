"""The copy of an encoder that predicts: its number format, and what makes it fast."""

from __future__ import annotations

import copy
from typing import Any

import torch

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.adapter import add_adapter, find_adapted
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.runtime.backends import make_onnx_encoder
from spacy_bertft.models.runtime.layers import FusedLayers, can_fuse, can_pack, pack_children
from spacy_bertft.models.runtime.precision import Backend, Precision, find_dtype


def make_inference_copy(module: BertModule, precision: Precision, backend: Backend = "torch") -> Any:
    """Copy a module for prediction; what need not change is shared with it.

    The weights of an adapter are added to those beside it. On an x86 processor the dense layers become `PackedLinear`;
    the layers of a family that is known become `FusedLayers`.

    Args:
        module: The encoder.
        precision: What to compute in.
        backend: What computes.

    Returns:
        What is called as the module is: a `BertModule`, or an `OnnxEncoder`.

    Raises:
        SettingError: ONNX Runtime is to compute, and the module is not on a CPU.
        UnsupportedError: ONNX cannot say what the encoder does.
    """
    if backend == "onnx":
        if module.device.type != "cpu":
            raise SettingError("backend", backend, f"torch on {module.device.type}")
        return make_onnx_encoder(copy_bert(module, torch.float32), is_quantized=precision == "int8")
    copied = copy_bert(module, find_dtype(precision, module.device))
    if can_pack(next(copied.parameters())):
        for parent in list(copied.bert.modules()):
            pack_children(parent)
    if can_fuse(copied.bert):
        copied.bert = FusedLayers(copied.bert)
    return copied


def copy_bert(module: BertModule, dtype: torch.dtype) -> BertModule:
    """Copy a module to predict with, the weights of an adapter added; what has the number format already is shared."""
    shared: dict[int, Any] = {id(module.tokenizer): module.tokenizer}
    for parameter in module.parameters():
        converted = parameter.detach().to(dtype)
        shared[id(parameter)] = torch.nn.Parameter(converted, requires_grad=False)
    for _, layer in find_adapted(module.bert):
        shared[id(layer)] = plain = copy.deepcopy(layer.base_layer)
        plain.weight.data = add_adapter(layer)
    return copy.deepcopy(module, shared).to(dtype).eval().requires_grad_(False)
