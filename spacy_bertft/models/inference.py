"""The copy of an encoder that predicts: its number format, and what makes it fast."""

from __future__ import annotations

import copy
from typing import Any

import torch

from .adapter import add_adapter, find_adapted
from .bert import BertModule
from .fused import FusedLayers, can_fuse
from .packed import can_pack, pack_children


def make_inference_copy(module: BertModule, dtype: torch.dtype) -> BertModule:
    """Copy a module for prediction; what need not change is shared with it.

    The weights of an adapter are added to those beside it. On an x86 processor the dense layers become `PackedLinear`,
    and the layers of a family that is known become `FusedLayers`.

    Args:
        module: The encoder.
        dtype: The number format to compute in.
    """
    shared: dict[int, Any] = {id(module.tokenizer): module.tokenizer}
    for parameter in module.parameters():
        converted = parameter.detach().to(dtype)
        shared[id(parameter)] = torch.nn.Parameter(converted, requires_grad=False)
    for _, layer in find_adapted(module.bert):
        shared[id(layer)] = plain = copy.deepcopy(layer.base_layer)
        plain.weight.data = add_adapter(layer)
    copied = copy.deepcopy(module, shared).to(dtype).eval().requires_grad_(False)
    if can_pack(module.device):
        for parent in list(copied.bert.modules()):
            pack_children(parent)
    if can_fuse(copied.bert):
        copied.bert = FusedLayers(copied.bert)
    return copied
