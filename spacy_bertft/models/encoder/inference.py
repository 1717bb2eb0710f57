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
from spacy_bertft.models.runtime.layers import FusedLayers, can_fuse, can_pack, pack
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
        pack(copied.bert)
    if can_fuse(copied.bert):
        copied.bert = FusedLayers(copied.bert)
        copied.has_rows = copied.bert.is_packed
    return copied


def copy_bert(module: BertModule, dtype: torch.dtype) -> BertModule:
    """Copy a module to predict with, the weights of an adapter added; what has the number format already is shared."""
    shared: dict[int, Any] = {id(module.tokenizer): module.tokenizer}
    for parameter in module.parameters():
        shared[id(parameter)] = torch.nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
    for _, layer in find_adapted(module.bert):
        shared[id(layer)] = plain = copy.deepcopy(layer.base_layer)
        plain.weight.data = add_adapter(layer)
    return copy.deepcopy(module, shared).to(dtype).eval().requires_grad_(False)


_TOLERANCE = 1e-3
Inputs = dict[str, torch.Tensor]  # of a module, by the names of its arguments


def make_graph_encoder(module: BertModule, precision: Precision) -> GraphEncoder:
    """Make a graph of an encoder; it takes a second or more.

    Raises:
        UnsupportedError: The graph gives other states than the encoder.
    """
    copied, config = copy_bert(module, torch.float32), module.bert.config
    example, other = (make_example(config.vocab_size, shape, copied.pad_id) for shape in ((3, 7), (2, 40)))
    graph = trace(copied, example, other, f"an encoder of the family '{config.model_type}'")
    graph.precision = precision
    return GraphEncoder(graph, module.tokenizer, module.window, **{name: getattr(module, name) for name in FACTS})


def trace(module: torch.nn.Module, example: Inputs, other: Inputs, what: str) -> Graph:
    """Make a graph of a module, which computes in float32, and check that it does what the module does.

    Args:
        module: The module.
        example: What it is traced with.
        other: Inputs of another shape, for which they are compared, except where the `mask` among these is 0.
        what: What the module is, for the error.

    Raises:
        UnsupportedError: There can be no graph, or it computes something else.
    """
    openvino = import_openvino()
    with torch.inference_mode():
        expected = module(**other)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a trace warns of every branch it takes; the result is compared
            model = openvino.convert_model(module, example_input=example)
        if len(model.inputs) == len(example):  # of some an operation takes the place, and its name
            for port, name in zip(model.inputs, example, strict=True):
                port.get_tensor().set_names({name})
        graph = Graph.from_model(model)
        found = torch.from_numpy(graph(**{name: each.numpy() for name, each in other.items()}))
    except Exception as error:  # of torch's tracer, and of OpenVINO
        raise UnsupportedError(f"OpenVINO cannot run {what}. Set backend or runtime to torch.") from error
    is_compared = other.get("mask", torch.ones(len(found))) == 1
    # What is padded is not compared, but would spread where it is no number.
    if not torch.allclose(found[is_compared], expected[is_compared], atol=_TOLERANCE) or found.isnan().any():
        raise UnsupportedError(f"OpenVINO cannot say what {what} does. Set backend or runtime to torch.")
    return graph


def make_example(n_ids: int, shape: tuple[int, ...], pad_id: int) -> Inputs:
    """Make ids, mask and segment ids of windows of which all but the first are padded, of a shape `(W, …, P)`."""
    row = torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    mask = (torch.arange(shape[-1]) < shape[-1] - row * (shape[-1] // 2)).long().expand(shape).contiguous()
    ids = torch.arange(mask.numel()).reshape(shape) % n_ids
    return {"ids": ids.where(mask == 1, pad_id), "mask": mask, "types": torch.zeros_like(ids)}
