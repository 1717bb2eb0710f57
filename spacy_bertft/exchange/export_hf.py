"""A component of a pipeline → a Hugging Face checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from spacy.language import Language

from spacy_bertft.checkpoints import Checkpoint, write_checkpoint
from spacy_bertft.checkpoints.heads import NEVER, TASKS, describe_head
from spacy_bertft.checkpoints.source import MODEL_CARD, check_replaceable, find_hub_id
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.pipelines import choose_component, load_pipeline
from spacy_bertft.components.regressor import BertRegressor
from spacy_bertft.components.spancat import BertSpancat
from spacy_bertft.errors import DataError, UnsupportedError
from spacy_bertft.exchange.graphs import check_runtime
from spacy_bertft.exchange.onnx import write_onnx
from spacy_bertft.exchange.scores import list_results, read_scores, select_scores
from spacy_bertft.models.heads.export import export_checkpoint
from spacy_bertft.models.heads.token import TokenModel
from spacy_bertft.output import replace_folder_when_done
from spacy_bertft.pictures.page import render_template


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        component: The component.
        path: The checkpoint.
        outputs: The outputs of its head, in order.
        notes: What transformers does differently.
        base_model: The hub id of the encoder that was fine-tuned; None where it is not known.
    """

    component: str
    path: Path
    outputs: tuple[str, ...]
    notes: tuple[str, ...]
    base_model: str | None

    def __str__(self) -> str:
        first = f"{self.component} → {self.path}: outputs {', '.join(self.outputs)}."
        advice = "The model card does not name the encoder that was fine-tuned: pass its hub id as --base-model."
        return " ".join([first, *self.notes, *([] if self.base_model else [advice])])


def export_hf(
    pipeline: Path | str,
    output_dir: Path | str,
    component: str | None = None,
    *,
    base_model: str | None = None,
    license: str | None = None,
    scores_path: Path | str | None = None,
    onnx: bool = False,
) -> ExportReport:
    """Write a component as a Hugging Face checkpoint, with its tokenizer and a model card.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        output_dir: The checkpoint directory to write. An earlier checkpoint there is replaced, anything else is an
            error.
        component: Name of the component; by default the only one.
        base_model: Hub id of the encoder that was fine-tuned, for the model card; by default the name in the config, if
            it was fetched from the hub on this machine.
        license: Licence of the checkpoint, such as MIT; by default that of the pipeline.
        scores_path: The file that evaluate --output wrote about a test set; by default the card shows the scores that
            the pipeline holds.
        onnx: Also write its graph as onnx/model.onnx, for other runtimes; the card shows how to run it. Needs the extra
            onnx, which has OpenVINO to check the graph.

    Raises:
        DataError: There is no such pipeline, or the file holds no scores, or none of the component, or those of another
            pipeline.
        SettingError: There is no such component.
        UnsupportedError: No class of transformers computes the same, or ONNX cannot say it.
        MissingExtraError: The graph is wanted, and ONNX or OpenVINO is not installed.
        CheckpointError: Something else is at `output_dir`.
    """
    output_dir = Path(output_dir)
    check_replaceable(output_dir)
    if onnx:
        check_runtime("onnx")
    nlp = load_pipeline(pipeline)
    performance = None if scores_path is None else read_scores(scores_path, nlp)
    pipe: Any = choose_component(nlp, BertComponent, component, "no component: the pipeline has none")
    name: str = pipe.name
    if isinstance(pipe, BertRegressor):
        pipe.fold_scale()
    if isinstance(pipe, BertSpancat):
        raise UnsupportedError(f"{name} scores spans of any length, which no class of transformers does.")
    checkpoint = export_checkpoint(pipe.model, pipe.task, name)
    outputs: Sequence[str] = pipe.outputs
    fields = describe_head(checkpoint.config, pipe.task, outputs, pipe.problem_type)
    checkpoint = Checkpoint(name, checkpoint.config | fields, checkpoint.tokenizer, checkpoint.weights)
    notes = _list_notes(nlp, name, pipe)
    base_model = base_model or find_hub_id(pipe.model.find_source().settings.name)
    shown = {"outputs": outputs, "notes": notes, "import_hf": _write_import(nlp, name, pipe), "onnx": onnx}
    with replace_folder_when_done(output_dir) as temporary_dir:
        write_checkpoint(checkpoint, temporary_dir)
        if onnx:
            write_onnx(temporary_dir, pipe.task)
        _write_card(temporary_dir, nlp, name, base_model, license, performance, **shown)
    return ExportReport(name, output_dir, tuple(outputs), tuple(notes), base_model)


def _write_card(
    folder: Path,
    nlp: Language,
    component: str,
    base_model: str | None,
    license: str | None,
    performance: dict[str, Any] | None,
    **shown: Any,
) -> None:
    factory, written = nlp.get_pipe_meta(component).factory, performance or nlp.meta.get("performance", {})
    scores, split = select_scores(written, component, factory), written.get("split", "validation")
    if performance and not scores:
        raise DataError(f"The file of scores has none of {component}. Expected the scores of this pipeline.")
    lang: str = nlp.meta["lang"]
    title = f"{lang}_{nlp.meta.get('name') or 'pipeline'}"
    pipe: Any = nlp.get_pipe(component)
    task = TASKS[pipe.task].pipeline_tag
    results = list_results(title, task, split, scores)
    front = ModelCardData(
        language=["multilingual" if lang == "xx" else lang],
        library_name="transformers",
        pipeline_tag=task,
        tags=["spacy-bertft", "spacy"],
        license=(license or nlp.meta.get("license") or "").lower().replace(" ", "-") or None,  # as the hub spells it
        base_model=base_model,
        model_name=title if results else None,
        eval_results=results or None,
    )
    values = {"title": title, "component": component, "task": task, "split": split, "scores": scores, **shown}
    write_model_card(folder, "component_card", front, description=nlp.meta.get("description"), **values)


def _write_import(nlp: Language, name: str, pipe: BertComponent) -> str:
    """Write the command that makes a pipeline of the checkpoint again."""
    model: Any = pipe.model
    command = ["spacy-bertft", "import-hf", ".", "my-pipeline", "--factory", nlp.get_pipe_meta(name).factory]
    command += ["--lang", nlp.meta["lang"]]
    if isinstance(pipe, BertNer):
        command += ["--scheme", model.scheme]
    if isinstance(model, TokenModel) and model.never:
        command += ["--labels", ",".join(f"{tag}={NEVER}" for tag in model.never)]
    if any(nlp.get_pipe_meta(each).factory == "text_pair" for each in nlp.pipe_names):
        command.append("--pairs")
    return shlex.join(command)


def _list_notes(nlp: Language, name: str, pipe: BertComponent) -> list[str]:
    notes, settings = [], pipe.model.find_source().settings
    if settings.tokenize == "tokens":
        notes.append("The tokenizer is given spaCy's tokens one by one (tokenize = tokens); by transformers, the text.")
    if settings.windows_over == "sentences":
        notes.append("Windows are laid over sentences (windows_over); by transformers, over the text.")
    if isinstance(pipe.model, TokenModel) and pipe.model.never:
        notes.append(f"The component never predicts {', '.join(pipe.model.never)}; transformers may.")
    if nlp.get_pipe_config(name)["model"].get("decoder") == "crf":
        notes.append(
            "The transitions between tags that the conditional random field has learned are not exported: "
            "transformers takes the best tag of each token independently."
        )
    temperature, threshold = pipe.cfg.get("temperature", 1.0), pipe.cfg.get("threshold")
    if temperature != 1:
        notes.append(f"The temperature of {temperature:.3f}, by which scores are divided, is not exported.")
    if pipe.task == "span" and threshold is not None:
        notes.append(
            f"From a probability of {threshold:.3f} on that there is none, no answer is given; transformers may."
        )
    elif (least := pipe.cfg.get("min_score") or threshold or 0.5) != 0.5:
        notes.append(f"What has a probability of less than {least:.3f} is not predicted; by transformers it may be.")
    return notes


def write_model_card(folder: Path, name: str, front: ModelCardData, **values: Any) -> None:
    """Write the README.md of a checkpoint: what the hub reads in front, and what a reader needs below.

    Args:
        folder: The checkpoint.
        name: Name of a template next to this file.
        front: What the hub reads.
        values: What it shows.

    Source: Mitchell et al. (2019); the fields in front as the hub defines them.
    """
    card = render_template(f"exchange/{name}.md.jinja", **values)
    (folder / MODEL_CARD).write_text(f"---\n{front.to_yaml()}\n---\n\n{card.strip()}\n", encoding="utf-8")
