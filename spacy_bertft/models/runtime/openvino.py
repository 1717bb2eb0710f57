"""Graphs that OpenVINO runs on a CPU, without torch. Needs the extra `openvino`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import nullcontext, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.models.runtime.processes import count_cores, count_threads, make_once


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report every import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    openvino.Tensor(np.zeros(1))  # its first array, here since two threads that come first would wait forever
    return openvino


class Graph:
    """A graph that predicts.

    Args:
        layout: The content of its file of operations (XML).
        weights: The content of its file of constants.
        precision: What to compute in; operations on 8-bit integers, where the graph has them, stay as they are.
    """

    def __init__(self, layout: bytes, weights: bytes, precision: str = "fp32") -> None:
        self.layout, self.weights, self.precision = layout, weights, precision
        self._compiled: dict[tuple[int, int], Any] = {}

    @classmethod
    def from_model(cls, model: Any, precision: str = "fp32") -> Graph:
        """Make it of a model of OpenVINO."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "graph.xml")
            import_openvino().save_model(model, path, compress_to_fp16=False)
            return cls(path.read_bytes(), path.with_suffix(".bin").read_bytes(), precision)

    def __reduce__(self) -> tuple[type[Graph], tuple[bytes, bytes, str]]:
        return Graph, (self.layout, self.weights, self.precision)

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Run a pass; inputs that the graph has no use for are left out."""
        # A child process has none of the threads that its parent has started.
        n_threads = count_threads()
        compiled, names, own = make_once(self._compiled, (os.getpid(), n_threads), partial(self._compile, n_threads))
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        own.request.infer({name: inputs[name] for name in names}, share_inputs=True)
        return own.request.get_output_tensor().data.copy()

    def _compile(self, n_threads: int) -> tuple[Any, list[str], local]:
        """Compile the graph: for passes that take one thread each, as many side by side as there are cores.

        Returns:
            What is compiled, the names of its inputs, and what each thread keeps its request in.
        """
        n_streams = count_cores() if n_threads == 1 else 1
        # By default it computes in bfloat16 where the processor multiplies it natively.
        hint = {} if self.precision == "auto" else {"INFERENCE_PRECISION_HINT": self.precision.replace("fp", "f")}
        settings = hint | {
            "NUM_STREAMS": n_streams,
            "INFERENCE_NUM_THREADS": max(n_threads, n_streams),
            "ENABLE_CPU_PINNING": False,  # several processes would take the same core
            "CPU_RUNTIME_CACHE_CAPACITY": 100,  # kernels for shapes; as many as by default, 5,000, take 100 MB more
        }
        compiled = import_openvino().Core().compile_model(self.layout.decode(), "CPU", settings, weights=self.weights)
        return compiled, [each.any_name for each in compiled.inputs], local()


def quantize_graph(graph: Graph, inputs: list[dict[str, NDArray[Any]]]) -> Graph:
    """Let the dense layers of a graph of a transformer multiply 8-bit integers.

    Args:
        graph: The graph.
        inputs: Inputs like those to come, by name, from which the ranges of what the layers are given are found.

    Source: NNCF's post-training quantization for transformers.
    """
    model = import_openvino().Core().read_model(graph.layout, graph.weights)
    import nncf

    names = [each.any_name for each in model.inputs]
    data = nncf.Dataset(inputs, lambda each: {name: each[name] for name in names})
    nncf.set_log_level(logging.ERROR)
    with nullcontext() if sys.stdout.isatty() else redirect_stdout(StringIO()):  # its progress bars
        quantized = nncf.quantize(model, data, subset_size=len(inputs), model_type=nncf.ModelType.TRANSFORMER)
    return Graph.from_model(quantized, graph.precision)
