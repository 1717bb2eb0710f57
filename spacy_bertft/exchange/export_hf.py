"""A component of a pipeline → a Hugging Face checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language

from spacy_bertft.checkpoints import Checkpoint, write_checkpoint
from spacy_bertft.checkpoints.heads import describe_head
from spacy_bertft.checkpoints.source import MODEL_CARD, check_replaceable
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.components.textcat import BertTextcatMultilabel
from spacy_bertft.errors import SettingError
from spacy_bertft.models.heads.head import export_checkpoint
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
    """

    component: str
    path: Path
    outputs: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([f"{self.component} → {self.path}: outputs {', '.join(self.outputs)}.", *self.notes])


def export_hf(pipeline: Path | str, output_dir: Path | str, component: str | None = None) -> ExportReport:
    """Write a component as a Hugging Face checkpoint, with its tokenizer and a model card.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        output_dir: The checkpoint directory to write. An earlier checkpoint there is replaced, anything else is an
            error.
        component: Name of the component; by default the only one.

    Raises:
        DataError: There is no such pipeline.
        SettingError: There is no such component.
        UnsupportedError: No class of transformers computes the same.
        CheckpointError: Something else is at `output_dir`.
    """
    output_dir = Path(output_dir)
    check_replaceable(output_dir)
    nlp = load_pipeline(pipeline)
    ours = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, BertComponent)}
    name = next(iter(ours)) if component is None and len(ours) == 1 else component
    if name not in ours:
        raise SettingError("component", component, f"one of {', '.join(ours) or 'no component: the pipeline has none'}")
    pipe = ours[name]
    checkpoint = export_checkpoint(pipe.model, pipe.task, name)
    outputs: Sequence[str] = pipe.model.tags if isinstance(pipe.model, TokenModel) else pipe.labels
    is_multilabel = isinstance(pipe, BertTextcatMultilabel)
    fields = describe_head(checkpoint.config, pipe.task, outputs, is_multilabel=is_multilabel)
    checkpoint = Checkpoint(name, checkpoint.config | fields, checkpoint.tokenizer, checkpoint.weights)
    notes = _list_notes(nlp, name, pipe)
    with replace_folder_when_done(output_dir) as temporary_dir:
        write_checkpoint(checkpoint, temporary_dir)
        values = {"component": name, "task": pipe.task, "outputs": outputs, "notes": notes}
        write_model_card(temporary_dir, "component_card", nlp=nlp, **values)
    return ExportReport(name, output_dir, tuple(outputs), tuple(notes))


def _list_notes(nlp: Language, name: str, pipe: BertComponent) -> list[str]:
    notes = []
    if isinstance(pipe.model, TokenModel) and pipe.model.never:
        notes.append(f"The component never predicts {', '.join(pipe.model.never)}; transformers may.")
    if nlp.get_pipe_config(name)["model"].get("decoder") == "crf":
        notes.append(
            "The transitions between tags that the conditional random field has learned are not exported: "
            "transformers takes the best tag of each token independently."
        )
    return notes


def write_model_card(folder: Path, name: str, **values: Any) -> None:
    """Write the README.md of a checkpoint: what the hub reads in front, and what a reader needs below.

    Args:
        folder: The checkpoint.
        name: Name of a template next to this file.
        values: What it shows.

    Source: Mitchell et al. (2019); the fields in front as the hub defines them.
    """
    card = render_template(f"exchange/{name}.md.jinja", **values)
    (folder / MODEL_CARD).write_text(f"{card.strip()}\n", encoding="utf-8")
