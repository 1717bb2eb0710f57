"""A Hugging Face checkpoint with a head → a spaCy pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spacy_bertft.checkpoints import CheckpointHead, Task, find_checkpoint_dir, read_head
from spacy_bertft.checkpoints.checkpoint import read_config
from spacy_bertft.checkpoints.heads import NEVER, TASKS, find_task
from spacy_bertft.components.pipelines import check_replaceable_pipeline
from spacy_bertft.components.text_component import FACTORIES, TextFactory
from spacy_bertft.data.docs import make_blank
from spacy_bertft.errors import CheckpointError, SettingError, TagError, check_setting, format_count
from spacy_bertft.models.runtime.devices import check_precision
from spacy_bertft.output import replace_folder_when_done
from spacy_bertft.tags.grammar import SchemeName, normalize_tags, parse_tag_scheme

Factory = Literal["bert_ner", "bert_tagger"] | TextFactory | Literal["bert_qa", "bert_multiple_choice"]
# What each factory classifies, and how its component is called.
_FACTORIES: dict[str, tuple[Task, str]] = {
    "bert_ner": ("token", "ner"),
    "bert_tagger": ("token", "tagger"),
    "bert_textcat": ("text", "textcat"),
    "bert_textcat_multilabel": ("text", "textcat"),
    "bert_regressor": ("text", "regressor"),
    "bert_qa": ("span", "qa"),
    "bert_multiple_choice": ("choice", "choice"),
}
# What to know of a head without labels.
_UNLABELLED: dict[Task, str] = {
    "span": "It finds an answer to every question, until `spacy-bertft calibrate` is given questions of which some "
    "have none.",
    "choice": "It chooses one of the endings of a prompt.",
}


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Attributes:
        checkpoint: Where it came from.
        path: The pipeline.
        factory: The factory of the component that was made.
        outputs: What its head gives, in order: tags or labels.
        labels: What it writes to documents.
        scheme: The scheme of its tags; None where outputs are labels.
        never: The outputs that are never predicted.
    """

    checkpoint: str
    path: Path
    factory: str
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    scheme: str | None
    never: tuple[str, ...] = ()

    def __str__(self) -> str:
        task = _FACTORIES[self.factory][0]
        if task in _UNLABELLED:
            return f"{self.checkpoint} → {self.path}: {self.factory}. {_UNLABELLED[task]}"
        scheme = f" in the scheme {self.scheme}" if self.scheme else ""
        kind = "numbers" if self.factory == "bert_regressor" else "categories"
        if task == "token":
            kind = format_count(len(self.outputs), "tag") + scheme
        never = f"; never predicted: {', '.join(self.never)}" if self.never else ""
        return f"{self.checkpoint} → {self.path}: {self.factory} with {kind}; labels: {', '.join(self.labels)}{never}."


def import_hf(
    checkpoint: str,
    output_dir: Path | str,
    *,
    lang: str = "en",
    factory: Factory | None = None,
    labels: Mapping[str, str] | Sequence[str] | str | None = None,
    scheme: SchemeName | Literal["bare"] | None = None,
    pairs: bool = False,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
) -> ImportReport:
    """Make a spaCy pipeline of a Hugging Face checkpoint: its encoder, its head, its labels, its tokenizer.

    The component is called `ner`, `tagger`, `textcat`, `regressor`, `qa` or `choice`.

    Args:
        checkpoint: A directory or hub id with a head that classifies tokens or texts, answers questions, or chooses
            endings.
        output_dir: The pipeline directory to write. An earlier pipeline there is replaced, anything else is an error.
        lang: Language code of the pipeline.
        factory: The factory of the component: bert_ner, bert_tagger, bert_textcat, bert_textcat_multilabel,
            bert_regressor, bert_qa or bert_multiple_choice; by default the one that fits the head.
        labels: New names for the outputs: all of them in order (O,PER,LOC), or some (LABEL_0=O,LABEL_1=PER). A tag
            named - is never predicted (O,PER,- or X=-).
        scheme: The tag scheme: bio, iob1, biluo, bioes or bare (no prefixes); by default what the tags look like.
            IOB1 looks like BIO.
        pairs: The head classifies pairs of texts: texts with U+001F are read as pairs.
        precision: auto, fp32, bf16 or fp16; with fp32, logits are those of transformers within 1e-5.

    Raises:
        CheckpointError: The checkpoint has no such head, or cannot be read.
        SettingError: A setting does not fit the head, or spaCy does not know the language.
        DataError: Something else is at `output_dir`.
    """
    check_precision(precision)
    output_dir = Path(output_dir)
    check_replaceable_pipeline(output_dir)
    if isinstance(labels, str):
        parts = [part.strip() for part in labels.split(",")]
        labels = dict(part.split("=", 1) for part in parts) if all("=" in part for part in parts) else parts
        check_setting("labels", ", ".join(parts), len(labels) == len(parts), "each output once")
    tag_scheme = None if scheme is None else parse_tag_scheme(scheme)
    head = _read_head(checkpoint, factory)
    if labels is not None:
        if head.task in _UNLABELLED:
            raise SettingError("labels", labels, f"none, since {_choose_factory(head)} has no labels")
        head = head.rename(labels)
    factory = factory or _choose_factory(head)
    if tag_scheme is not None and factory != "bert_ner":
        raise SettingError("scheme", scheme, f"none, since {factory} does not read its outputs as spans")
    nlp = make_blank(lang)
    # Not the defaults of the factory, which are those for a new head: this one is trained, and has no transitions.
    model: dict[str, Any] = {"encoder": {"name": checkpoint, "precision": precision}, "head_lr_scale": 1.0}
    if factory == "bert_ner":
        model |= {"decoder": "viterbi", "token_loss": 0.0, "label_smoothing": 0.0}
    if head.layout.pooling != "cls":
        model["pooling"] = head.layout.pooling
    pipe: Any = nlp.add_pipe(factory, _FACTORIES[factory][1], config={"model": model})
    try:
        pipe.take_head(head, tag_scheme) if tag_scheme else pipe.take_head(head)
    except TagError as error:
        raise SettingError(
            "labels",
            ", ".join(head.predicted),
            f"tags of one scheme, or --labels '{error.tag}={NEVER}' for a tag that is never to be predicted: {error}",
        ) from error
    nlp.initialize()
    if pairs or head.task == "span":
        if head.task in ("token", "choice"):
            raise SettingError("pairs", pairs, f"a head that classifies texts, but this is one for {factory}")
        nlp.add_pipe("text_pair", first=True)
    with replace_folder_when_done(output_dir) as temporary_dir:
        nlp.to_disk(temporary_dir)
    found = pipe.head_scheme if factory == "bert_ner" else None
    outputs = tuple(pipe.model.tags) if head.task == "token" else head.labels
    never = tuple(label for label in head.labels if label in head.never)
    return ImportReport(checkpoint, output_dir, factory, outputs, pipe.labels, found, never)


def _read_head(checkpoint: str, factory: str | None) -> CheckpointHead:
    """Read the head of a checkpoint: the one for the factory, else the one that its configuration names.

    Raises:
        CheckpointError: It has none, or does not say what it is for, or it cannot be computed here.
        SettingError: The factory is not for it.
    """
    named = find_task(read_config(find_checkpoint_dir(checkpoint)))
    wanted, _ = _FACTORIES.get(factory or "", (None, ""))
    if factory is not None and (wanted is None or named not in (None, wanted)):
        fitting = ", ".join(name for name, (task, _) in _FACTORIES.items() if named in (None, task))
        what = f"one that {TASKS[named].purpose}: " if named else "one of "
        raise SettingError("factory", factory, f"{what}{fitting}")
    tasks = [wanted] if wanted else list(TASKS)
    heads = (read_head(checkpoint, task, is_chosen=factory is not None) for task in tasks)
    head = next(filter(None, heads), None)
    if head is None:
        raise CheckpointError(
            f"{checkpoint} has no head that {' or '.join(TASKS[task].purpose for task in tasks)}. To train one on "
            "its encoder, give its name to `spacy-bertft init-config ner --encoder`."
        )
    return head


def _choose_factory(head: CheckpointHead) -> Factory:
    if head.task in _UNLABELLED:
        return "bert_qa" if head.task == "span" else "bert_multiple_choice"
    if head.task == "text":
        if head.problem_type is None and len(head.labels) == 1:
            expected = "bert_regressor if the single output is a number, bert_textcat_multilabel if it is a logit"
            raise SettingError("factory", None, f"{expected}: the problem_type of {head.name} does not say")
        return FACTORIES[head.problem_type or "single_label_classification"]
    if "O" in normalize_tags(head.predicted):
        return "bert_ner"
    if all(label.startswith("LABEL_") for label in head.predicted):
        raise SettingError(
            "labels",
            None,
            f"names for the {len(head.labels)} tags of {head.name}, which gives none: --labels O,B-PER,…",
        )
    return "bert_tagger"  # without a tag for what is no entity, every token has one
