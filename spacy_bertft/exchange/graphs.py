"""A trained pipeline → one that only predicts, by graphs of OpenVINO: without torch, and in 8-bit integers if asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import spacy
import srsly
import torch
from numpy.typing import NDArray
from spacy import util
from spacy.language import Language
from spacy.training import Example
from thinc.api import Model

from spacy_bertft.components.encoder import BertEncoderPipe
from spacy_bertft.components.guarantee import GuaranteedComponent
from spacy_bertft.components.pipelines import (
    copy_pipeline_dir,
    find_pipeline_dir,
    format_requirement,
    load_pipeline,
    read_examples,
)
from spacy_bertft.data.unlabelled import check_unlabelled, read_unlabelled
from spacy_bertft.errors import DataError, MissingExtraError, UnsupportedError
from spacy_bertft.models.encoder.build import BertEncoder, PretrainedModel
from spacy_bertft.models.encoder.graph import GraphEncoder
from spacy_bertft.models.encoder.inference import make_graph_encoder, trace
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.heads.head import HeadModel, find_own_encoder
from spacy_bertft.models.heads.layers import HeadLayers
from spacy_bertft.models.runtime.openvino import quantize_graph
from spacy_bertft.models.store.graph import GraphModule
from spacy_bertft.output import replace_folder_when_done

_KINDS = (HeadModel, BertEncoder)
_MOST_TEXTS = 1000  # from which ranges are found: more change nothing, and take time


@dataclass(frozen=True)
class QuantizationReport:
    """What was quantized.

    Attributes:
        pipeline: Where it came from.
        path: The folder of the new pipeline.
        components: The components with an encoder.
        n_texts: How many texts the ranges were found from.
        before: The scores of the pipeline on the texts, where they are annotated: those that training goes by.
        after: Those of the new one.
    """

    pipeline: str
    path: Path
    components: tuple[str, ...]
    n_texts: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def __str__(self) -> str:
        scores = [f"{name} {100 * score:.2f} → {100 * self.after[name]:.2f}" for name, score in self.before.items()]
        told = "; ".join(scores) or "the texts are not annotated, so nothing was scored"
        names = ", ".join(self.components)
        return f"{self.pipeline} → {self.path}: {names} in 8-bit integers, by {self.n_texts:,} texts; {told}."


def quantize(
    pipeline: Path | str, texts_path: Path | str, output_dir: Path | str, *, text_column: str = "text"
) -> QuantizationReport:
    """Make a pipeline whose encoders multiply 8-bit integers, two to three times as fast on most processors.

    It only predicts, and needs neither torch nor transformers. Needs the extra `quantize`.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed. It is not changed.
        texts_path: Texts like those to come: a .spacy file with gold annotation, such as the development data, by which
            the scores before and after are reported; or .jsonl, .csv, .tsv or .txt. The first 1,000 are used.
        output_dir: The directory to write the new pipeline into.
        text_column: The column of the texts, in a file of rows.

    Raises:
        DataError: There is no such pipeline, or no such file, or it holds no text.
        SettingError: The name of the file says nothing about its format.
        UnsupportedError: A component has to have torch.
        MissingExtraError: NNCF or OpenVINO is not installed.
    """
    path, output_dir = Path(texts_path), Path(output_dir)
    check_runtime("quantize")
    if path.suffix != ".spacy":
        check_unlabelled(path)
    nlp = load_pipeline(pipeline)
    examples = read_examples(path, nlp) if path.suffix == ".spacy" else []
    annotated = [example.reference.text for example in examples]
    sample = list(islice(annotated or (each.text for each in read_unlabelled(path, text_column)), _MOST_TEXTS))
    if not sample:
        raise DataError(f"{path}: there is no text. Expected texts like those to come.")
    before = _score(nlp, examples)
    with replace_folder_when_done(output_dir) as folder:
        copy_pipeline_dir(find_pipeline_dir(nlp), folder)
        srsly.write_json(folder / "meta.json", {**nlp.meta, "performance": {}})  # which was measured before
        for name, pipe in nlp.components:
            if isinstance(pipe, GuaranteedComponent):  # what it promises is of other probabilities
                pipe.drop_guarantee()
                srsly.write_json(folder / name / "cfg", pipe.list_stored())
        components = write_graphs(nlp, folder, sample)
        after = _score(spacy.load(folder), examples)
    return QuantizationReport(str(pipeline), output_dir, components, len(sample), before, after)


# The modules of an extra.
_MODULES = {"openvino": ("openvino",), "quantize": ("openvino", "nncf"), "onnx": ("openvino", "onnx")}


def check_runtime(extra: Literal["openvino", "quantize", "onnx"]) -> None:
    """Raise unless the modules of an extra are installed.

    Raises:
        MissingExtraError: One is not.
    """
    if not all(map(find_spec, _MODULES[extra])):
        raise MissingExtraError(extra, extra)


def _score(nlp: Language, examples: list[Example]) -> dict[str, float]:
    if not examples:
        return {}
    scores = nlp.evaluate([Example(nlp.make_doc(each.reference.text), each.reference) for each in examples])
    weights = nlp.config["training"]["score_weights"]
    return {name: scores[name] for name, weight in weights.items() if weight and scores.get(name) is not None}


def write_graphs(nlp: Language, folder: Path, texts: Iterable[str] = ()) -> tuple[str, ...]:
    """Let graphs take the place of torch in the copy of a pipeline.

    Args:
        nlp: The pipeline. It has graphs afterwards, too.
        folder: A copy of its folder.
        texts: If there are any, the encoders are quantized by what these give them.

    Returns:
        The components with an encoder of their own.

    Raises:
        UnsupportedError: A component has to have torch.
    """
    pipes: dict[str, Any] = {name: pipe for name, pipe in nlp.components if isinstance(_get_model(pipe), _KINDS)}
    for name, pipe in nlp.components:
        if name not in pipes and _needs_states(pipe):
            raise UnsupportedError(f"{name} has to have torch: it is a component of spaCy over an encoder of ours.")
    encoders = {name: own for name, pipe in pipes.items() if (own := find_own_encoder(pipe.model)) is not None}
    heads = {name: pipe.model for name, pipe in pipes.items() if isinstance(pipe.model, HeadModel)}
    for name, model in (*encoders.items(), *heads.items()):
        _check(name, model)
    for encoder in encoders.values():
        made = make_graph_encoder(encoder.module, "auto")
        encoder.shim.attach_graph({**encoder.shim.spec, "adapter": None}, made.graph, made.facts)
    for head in heads.values():
        module: HeadLayers = head.module
        example, other = torch.zeros(3, module.width), torch.linspace(-2, 2, 5 * module.width).view(5, -1)
        graph = trace(module, {"states": example}, {"states": other}, "a head")
        head.shim.attach_graph(head.shim.spec, graph, module.describe())
    if texts := list(texts):
        with _record([encoder.module for encoder in encoders.values()]) as recorded:
            for _ in nlp.pipe(texts):
                pass
        for (name, encoder), inputs in zip(encoders.items(), recorded, strict=True):
            if not inputs:
                raise UnsupportedError(f"{name} was given no text: no component uses its encoder. Remove it.")
            encoder.module.graph = quantize_graph(encoder.module.graph, inputs)
    _write(nlp, folder, pipes)
    return tuple(encoders)


def has_graphs(nlp: Language) -> bool:
    """Tell whether graphs are in place of torch already."""
    encoders = [find_own_encoder(_get_model(pipe)) for _, pipe in nlp.components]
    return any(each is not None and each.is_initialized and isinstance(each.module, GraphModule) for each in encoders)


def _get_model(pipe: Any) -> Any:
    return getattr(pipe, "model", None)


def _needs_states(pipe: Any) -> bool:
    """Tell whether the model of a component that is not ours is over an encoder of ours."""
    model = _get_model(pipe)
    nodes = model.walk() if isinstance(model, Model) else ()
    return any(isinstance(node, (PretrainedModel, SharedEncoder)) for node in nodes)


def _check(name: str, model: Any) -> None:
    """Raise unless graphs can do what a model does.

    Raises:
        UnsupportedError: They cannot.
    """
    if not model.is_initialized:
        raise UnsupportedError(f"{name} has no weights yet. Train it, or load a trained pipeline.")
    if isinstance(model.module, GraphModule):
        model.module.refuse("making another pipeline")
    if isinstance(model, HeadModel) and not isinstance(model.module, HeadLayers):
        raise UnsupportedError(f"{name} has to have torch: a head of the kind '{model.title}' is no graph yet.")
    if not isinstance(model, HeadModel) and model.settings.layers == "scalar_mix":
        raise UnsupportedError(f"{name} has to have torch for layers = scalar_mix.")


@contextmanager
def _record(encoders: list[GraphEncoder]) -> Iterator[list[list[dict[str, NDArray[Any]]]]]:
    """Record what encoders are given while the context is open."""
    recorded: list[list[dict[str, NDArray[Any]]]] = [[] for _ in encoders]
    graphs = [encoder.graph for encoder in encoders]

    def record(index: int, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        recorded[index].append(inputs)
        return graphs[index](**inputs)

    try:
        for index, encoder in enumerate(encoders):
            encoder.graph = partial(record, index)  # type: ignore[assignment]
        yield recorded
    finally:
        for encoder, graph in zip(encoders, graphs, strict=True):
            encoder.graph = graph


def _write(nlp: Language, folder: Path, pipes: Mapping[str, Any]) -> None:
    """Write the graphs over the models in a folder, and say so in its config and its requirements."""
    config = util.load_config(folder / "config.cfg")
    for name, pipe in pipes.items():
        pipe.model.to_disk(folder / name / "model")
        model = config["components"][name]["model"]
        section = model.get("encoder", model)
        if section["@architectures"] == BertEncoderPipe.architecture:
            section |= {"backend": "graph", "adapter": None}
    config.to_disk(folder / "config.cfg")
    meta = srsly.read_json(folder / "meta.json")
    kept = [each for each in meta.get("requirements", []) if not each.startswith("spacy-bertft[")]
    meta["requirements"] = [*kept, format_requirement("openvino")]
    srsly.write_json(folder / "meta.json", meta)
