"""A checkpoint of transformers → its graph in ONNX, for other runtimes, at the place that the hub knows."""

from __future__ import annotations

import warnings
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import srsly
import torch

from spacy_bertft.checkpoints import Task
from spacy_bertft.checkpoints.heads import find_class
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.inference import make_example
from spacy_bertft.models.encoder.loading import quiet_transformers
from spacy_bertft.models.runtime.openvino import import_openvino

_PATH = "onnx/model.onnx"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OPSET = 17
_TOLERANCE = 1e-3


def write_onnx(folder: Path, task: Task) -> None:
    """Write the graph of a checkpoint into its folder, and check that OpenVINO computes the same with it.

    Args:
        folder: The checkpoint.
        task: What its head is for.

    Raises:
        UnsupportedError: There can be no graph, or it computes something else.
    """
    openvino = import_openvino()
    config: dict[str, Any] = srsly.read_json(folder / "config.json")
    kind: Any = getattr(import_module("transformers"), str(find_class(config, task)))
    with quiet_transformers():
        model = kind.from_pretrained(folder).eval()
    model.config.return_dict = False
    names = [name for name in signature(model.forward).parameters if name in _INPUTS]
    outputs = ["start_logits", "end_logits"] if task == "span" else ["logits"]
    axes = {0: "texts", 1: "choices", 2: "tokens"} if task == "choice" else {0: "texts", 1: "tokens"}
    path = folder / _PATH
    path.parent.mkdir()
    example = _make_example(config, names, *(2, 3, 12) if task == "choice" else (2, 12))
    problem = f"ONNX cannot say what a head of the family '{config['model_type']}' does."
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a trace warns of every branch it takes; the result is compared
            torch.onnx.export(
                model,
                (_make_example(config, names, *(3, 2, 7) if task == "choice" else (3, 7)),),
                path,
                input_names=names,
                output_names=outputs,
                dynamic_axes=dict.fromkeys(names, axes) | {name: {0: "texts"} for name in outputs},
                opset_version=_OPSET,
                dynamo=False,
            )
            expected = [each.numpy() for each in model(**example)]
            graph = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            own = {name for each in graph.inputs for name in each.names}  # those of no use are left out
            found = graph({name: each.numpy() for name, each in example.items() if name in own})
    except Exception as error:  # of the model, of torch's tracer, and of OpenVINO
        raise UnsupportedError(problem) from error
    if not all(np.allclose(found[index], each, atol=_TOLERANCE) for index, each in enumerate(expected)):
        raise UnsupportedError(problem)


def _make_example(config: dict[str, Any], names: list[str], *shape: int) -> dict[str, torch.Tensor]:
    made = make_example(config["vocab_size"], shape, config.get("pad_token_id") or 0)
    inputs = dict(zip(_INPUTS, made.values(), strict=True))
    return {name: inputs[name] for name in names}
