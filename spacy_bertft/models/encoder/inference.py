"""The copy of an encoder that predicts: its number format, and what makes it fast.

With the extra `onnx` an encoder may also run in ONNX Runtime, for processors on which that is faster than torch. The
graph is made from the weights when it is first needed, which takes seconds; it is not stored.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from spacy_bertft.errors import SettingError, UnsupportedError
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.trainable import add_adapter, find_adapted
from spacy_bertft.models.runtime.devices import Backend, Precision, find_dtype
from spacy_bertft.models.runtime.layers import FusedLayers, can_fuse, can_pack, pack_children
from spacy_bertft.models.runtime.processes import make_once


def make_inference_copy(module: BertModule, precision: Precision, backend: Backend = "torch") -> Any:
    """Copy a module for prediction; what need not change is shared with it.

    The weights of an adapter are added to those of its layers. On an x86 processor the dense layers become
    `PackedLinear`; the layers of a known family become `FusedLayers`.

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


_INPUTS = ("ids", "mask", "types")
_OPSET = 17
_TOLERANCE = 1e-3


class OnnxEncoder:
    """What replaces a `BertModule` in prediction.

    Args:
        content: The graph, in the bytes of its file.
        module: The encoder that it was made from.

    Attributes:
        tokenizer: The tokenizer of the module.
        pad_id: The id of padding.
        feature_width: Width of the features of a piece.
        may_pad, least_pieces: Those of the module.
        device: Where states are.
    """

    def __init__(self, content: bytes, module: BertModule) -> None:
        self.tokenizer = module.tokenizer
        self.pad_id = module.pad_id
        self.feature_width = module.feature_width
        self.may_pad, self.least_pieces = module.may_pad, module.least_pieces
        self.device = torch.device("cpu")
        self._content = content
        self._sessions: dict[int, Any] = {}

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: `(W, P)` piece ids, padded.
            mask: `(W, P)` 1 for a piece, 0 for padding.
            types: `(W, P)` segment ids.

        Returns:
            `(W, P, F)` features.
        """
        n_threads = torch.get_num_threads()  # as many as torch would take; side by side one for each pass
        session = make_once(self._sessions, n_threads, lambda: _start(self._content, n_threads))
        given = {"ids": ids, "mask": mask, "types": types}
        [states] = session.run(None, {each.name: given[each.name].numpy() for each in session.get_inputs()})
        return torch.from_numpy(states)


def make_onnx_encoder(module: BertModule, *, is_quantized: bool) -> OnnxEncoder:
    """Make a graph of an encoder.

    Args:
        module: The encoder, in float32 on the CPU; it is changed, and of no use afterwards.
        is_quantized: Whether its dense layers multiply 8-bit integers; what comes into them is quantized at every call.

    Raises:
        UnsupportedError: The graph gives other states than the encoder.
    """
    if can_fuse(module.bert):
        module.bert = FusedLayers(module.bert, is_traced=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        _trace(module, path)
        _compare(module, OnnxEncoder(path.read_bytes(), module))
        if is_quantized:
            _quantize(path)
        return OnnxEncoder(path.read_bytes(), module)


def _trace(module: BertModule, path: Path) -> None:
    axes = {name: {0: "windows", 1: "pieces"} for name in (*_INPUTS, "states")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # a trace warns of every branch it takes; `_compare` looks at the result
        torch.onnx.export(
            module,
            _make_example(module, 3, 7),
            path,
            input_names=list(_INPUTS),
            output_names=["states"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _compare(module: BertModule, encoder: OnnxEncoder) -> None:
    """Raise unless a graph does what the encoder does, for another shape than the one that was traced."""
    ids, mask, types = _make_example(module, 2, 12)
    with torch.inference_mode():
        states = module(ids, mask, types)
        is_same = torch.allclose(encoder(ids, mask, types)[mask == 1], states[mask == 1], atol=_TOLERANCE)
    if not is_same:
        raise UnsupportedError(
            f"ONNX cannot say what an encoder of the family '{module.bert.config.model_type}' does. "
            "Set backend to torch."
        )


def _quantize(path: Path) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_symbolic_shape=True)
    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},  # of what the inference of shapes does not reach
    )


def _make_example(module: BertModule, n_windows: int, n_pieces: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make windows of which all but the first are padded."""
    n_ids = int(module.bert.config.vocab_size)
    ids = torch.arange(n_windows * n_pieces).reshape(n_windows, n_pieces) % n_ids
    mask = (torch.arange(n_pieces) < n_pieces - torch.arange(n_windows)[:, None]).long()
    return ids.where(mask == 1, module.pad_id), mask, torch.zeros_like(ids)


def _start(content: bytes, n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The normalization fused with the addition before it is slower on a CPU than one after the other.
    slow = ["SkipLayerNormFusion"]
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], disabled_optimizers=slow)
