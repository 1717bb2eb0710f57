"""The copy of an encoder that predicts: its number format, and what makes it fast."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch

from spacy_bertft.errors import SettingError, UnsupportedError
from spacy_bertft.models.encoder.graph import FACTS, GraphEncoder
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.trainable import add_adapter, find_adapted
from spacy_bertft.models.runtime.devices import Backend, Precision, find_dtype
from spacy_bertft.models.runtime.layers import FusedLayers, can_fuse, can_pack, pack_children
from spacy_bertft.models.runtime.openvino import Graph, import_openvino


def make_inference_copy(module: BertModule, precision: Precision, backend: Backend = "torch") -> Any:
    """Copy a module for prediction; what need not change is shared with it.

    The weights of an adapter are added to those of its layers. On an x86 processor the dense layers become
    `PackedLinear`; the layers of a known family become `FusedLayers`.

    Args:
        module: The encoder.
        precision: What to compute in.
        backend: What computes.

    Returns:
        What predicts as the module does: a `BertModule`, or a `GraphEncoder`.

    Raises:
        SettingError: OpenVINO is to compute, and the module is not on a CPU.
        UnsupportedError: The graph gives other states than the encoder.
    """
    if backend == "openvino":
        if module.device.type != "cpu":
            raise SettingError("backend", backend, f"torch on {module.device.type}")
        return make_graph_encoder(module, precision)
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


_TOLERANCE = 1e-3


def make_graph_encoder(module: BertModule, precision: Precision) -> GraphEncoder:
    """Make a graph of an encoder; it takes a second or more.

    Raises:
        UnsupportedError: The graph gives other states than the encoder.
    """
    copied = copy_bert(module, torch.float32)
    example = make_example(copied.bert.config.vocab_size, (3, 7), copied.pad_id)
    graph = trace(copied, dict(zip(("ids", "mask", "types"), example, strict=True)))
    _compare(copied, graph)
    graph.precision = precision
    return GraphEncoder(graph, module.tokenizer, module.window, **{name: getattr(module, name) for name in FACTS})


def trace(module: torch.nn.Module, example: dict[str, torch.Tensor]) -> Graph:
    """Make a graph of a module, which computes in float32.

    Args:
        module: The module.
        example: Inputs, by the names of its arguments; others may have other lengths.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # a trace warns of every branch it takes; `_compare` looks at the result
        model = import_openvino().convert_model(module, example_input=example)
    if len(model.inputs) == len(example):  # of some an operation takes the place, and its name
        for port, name in zip(model.inputs, example, strict=True):
            port.get_tensor().set_names({name})
    return Graph.from_model(model, "fp32")


def _compare(module: BertModule, graph: Graph) -> None:
    """Raise unless a graph does what the encoder does, for another shape than the one that was traced."""
    ids, mask, types = make_example(module.bert.config.vocab_size, (2, 12), module.pad_id)
    with torch.inference_mode():
        states = module(ids, mask, types)
    traced = torch.from_numpy(graph(ids=ids.numpy(), mask=mask.numpy(), types=types.numpy()))
    if not torch.allclose(traced[mask == 1], states[mask == 1], atol=_TOLERANCE):
        raise UnsupportedError(
            f"OpenVINO cannot say what an encoder of the family '{module.bert.config.model_type}' does. "
            "Set backend to torch."
        )


def make_example(n_ids: int, shape: tuple[int, ...], pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make ids, mask and segment ids of windows of which all but the first are padded, of a shape `(W, …, P)`."""
    row = torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    mask = (torch.arange(shape[-1]) < shape[-1] - row).long().expand(shape).contiguous()
    ids = torch.arange(mask.numel()).reshape(shape) % n_ids
    return ids.where(mask == 1, pad_id), mask, torch.zeros_like(ids)
