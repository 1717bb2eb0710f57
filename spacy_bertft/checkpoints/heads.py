"""The heads of checkpoints: one table of parameter names by family, for reading and for writing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from spacy_bertft.checkpoints.checkpoint import read_config
from spacy_bertft.checkpoints.source import find_checkpoint_dir
from spacy_bertft.checkpoints.weights import Weights, list_weights, read_weights
from spacy_bertft.errors import CheckpointError, format_count

Task = Literal["token", "text", "span", "choice"]
Pooling = Literal["cls", "first", "mean", "max", "mean_dense"]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

NEVER = "-"  # instead of a label: this output is never predicted
_SURROGATE = re.compile("[\ud800-\udfff]")  # which no string of spaCy may hold


@dataclass(frozen=True)
class HeadLayout:
    """The layers of the heads of a family, and their names.

    Attributes:
        linear: The layer that computes the scores.
        pooler: The dense layer before it; empty where there is none.
        activation: The activation after that; where it is set in the configuration, what it is by default.
        activation_field: The field of the configuration that sets it.
        norm: The normalization after that; empty where there is none.
        norm_eps: What it adds to the variance.
        biases: Which of the three layers have a bias.
        pooling: Which vector of a window a head for texts reads, as `TextModel` calls it.
        poolings: The same for each value of a field of the configuration, that of its default first; None for one that
            we do not compute.
        pooling_field: That field.
    """

    linear: str = "classifier"
    pooler: str = ""
    activation: str = "tanh"
    activation_field: str = ""
    norm: str = ""
    norm_eps: float = 1e-5
    biases: tuple[str, ...] = ("linear", "pooler", "norm")
    pooling: Pooling = "cls"
    poolings: Mapping[str, Pooling | None] = field(default_factory=dict)
    pooling_field: str = "classifier_pooling"

    def find_names(self) -> dict[str, str]:
        """Return the names of a checkpoint by those of a head of ours."""
        layers = {"pooler": self.pooler, "norm": self.norm, "linear": self.linear}
        return {
            f"{ours}.{part}": f"{theirs}.{part}"
            for ours, theirs in layers.items()
            for part in ("weight", "bias")
            if theirs and (part == "weight" or ours in self.biases)
        }

    @property
    def spec(self) -> dict[str, Any]:
        """What the layers before the linear one are built from, see `HeadLayers`."""
        norm_eps = self.norm_eps if self.norm else None
        biases = [layer for layer in self.biases if layer != "linear"]
        return {"has_pooler": bool(self.pooler), "activation": self.activation, "norm_eps": norm_eps, "biases": biases}


# Only families whose head computes exactly what ours does: tests/exchange/test_every_head.py compares the logits of
# every class of transformers. Left out are heads of decoders that read their last token; families that want more than a
# text (LayoutLM, RoCBert, X-MOD) or read something else (ESM); those whose tokenizers give segment ids that change the
# states of a single text (FlauBERT, XLM, XLNet); Longformer's texts, for which its attention is another one.
_BARE = HeadLayout()
_PREDICTION = HeadLayout("classifier", "head.dense", "gelu", "classifier_activation", "head.norm")  # of ModernBERT
_TOKEN_HEADS = {
    **dict.fromkeys(
        (
            *("albert", "bert", "big_bird", "biogpt", "bloom", "camembert", "convbert", "data2vec-text", "deberta"),
            *("deberta-v2", "distilbert", "electra", "ernie", "eurobert", "falcon", "fnet", "funnel", "gpt2"),
            *("gpt_bigcode", "gpt_neo", "gpt_neox", "gte", "ibert", "jina_embeddings_v3", "longformer", "luke"),
            *("megatron-bert", "mobilebert", "mpnet", "mpt", "nezha", "nomic_bert", "nystromformer", "rembert"),
            *("roberta", "roberta-prelayernorm", "roformer", "squeezebert", "ultrabert", "xlm-roberta"),
            *("xlm-roberta-xl", "yoso"),
        ),
        _BARE,
    ),
    "modernbert": _PREDICTION,
    "openai_privacy_filter": HeadLayout("score"),
}
# Longformer attends from every piece of a question; BigBird and Splinter have other layers; those of which
# transformers gives other logits to a text that is padded were not compared.
_SPAN_FAMILIES = frozenset(
    {
        *("albert", "bert", "bloom", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra"),
        *("ernie", "falcon", "gpt2", "gpt_neo", "gpt_neox", "ibert", "luke", "megatron-bert", "mobilebert", "mpnet"),
        *("mpt", "rembert", "roberta", "roberta-prelayernorm", "roformer", "xlm-roberta", "xlm-roberta-xl"),
    }
)
# The outputs of heads without labels: where an answer starts and ends, and how well an ending fits.
OUTPUTS: dict[Task, tuple[str, ...]] = {"span": ("start", "end"), "choice": ("choice",)}
_ROBERTA = HeadLayout("classifier.out_proj", "classifier.dense")
_DEBERTA = HeadLayout("classifier", "pooler.dense", "gelu", "pooler_hidden_act")
_TEXT_HEADS = {
    "albert": HeadLayout("classifier", "albert.pooler"),
    "bert": HeadLayout("classifier", "bert.pooler.dense"),
    "big_bird": replace(_ROBERTA, activation="gelu_new", activation_field="hidden_act"),
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "distilbert": HeadLayout("classifier", "pre_classifier", "relu"),
    "electra": replace(_ROBERTA, activation="gelu"),
    "eurobert": HeadLayout("classifier", "dense", "gelu", poolings={"late": None, "bos": "cls", "mean": "mean_dense"}),
    "funnel": HeadLayout("classifier.linear_out", "classifier.linear_hidden"),
    "megatron-bert": HeadLayout("classifier", "bert.pooler.dense"),
    "modernbert": replace(_PREDICTION, poolings={"cls": "cls", "mean": "mean_dense"}),
    "squeezebert": HeadLayout("classifier", "transformer.pooler.dense"),
    "ultrabert": HeadLayout(poolings={"cls": "first", "mean": "mean"}),
    **{
        family: HeadLayout("classifier", f"{family}.pooler.dense")
        for family in ("ernie", "fnet", "gte", "luke", "mobilebert", "nezha", "nomic_bert", "rembert")
    },
    **dict.fromkeys(
        (
            *("camembert", "data2vec-text", "ibert", "jina_embeddings_v3", "mpnet", "roberta"),
            *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
        ),
        _ROBERTA,
    ),
    **dict.fromkeys(
        ("convbert", "nystromformer", "roformer", "yoso"),
        replace(_ROBERTA, activation="gelu", activation_field="hidden_act"),
    ),
}
# Those of which transformers gives other logits to a pair that is padded were left out.
_CHOICE_HEADS = {
    **{
        family: _TEXT_HEADS[family]
        for family in (
            *("albert", "bert", "deberta-v2", "distilbert", "ernie", "luke", "megatron-bert", "modernbert", "nezha"),
            *("rembert", "squeezebert"),
        )
    },
    **{
        family: HeadLayout("classifier", f"{family.replace('-', '_')}.pooler.dense")
        for family in ("data2vec-text", "ibert", "mpnet", "roberta", "roberta-prelayernorm")
    },
    **dict.fromkeys(
        ("camembert", "xlm-roberta", "xlm-roberta-xl"),
        HeadLayout("classifier", "roberta.pooler.dense"),
    ),
    "big_bird": HeadLayout("classifier", "bert.pooler"),
    "electra": HeadLayout(
        *("classifier", "sequence_summary.summary", "gelu", "summary_activation"),
        poolings={"first": "cls"},
        pooling_field="summary_type",
    ),
}


class TaskKind(NamedTuple):
    """What is known of the heads for a task.

    Attributes:
        classes: The mapping of transformers that has their classes: `MODEL_FOR_…_MAPPING_NAMES`.
        pipeline_tag: What the hub calls the task.
        purpose: What such a head does, for errors.
        layouts: The layout of those that we compute exactly, by family.
    """

    classes: str
    pipeline_tag: str
    purpose: str
    layouts: Mapping[str, HeadLayout]


TASKS: dict[Task, TaskKind] = {
    "token": TaskKind(
        "TOKEN_CLASSIFICATION",
        "token-classification",
        "classifies tokens",
        _TOKEN_HEADS,
    ),
    "text": TaskKind("SEQUENCE_CLASSIFICATION", "text-classification", "classifies texts", _TEXT_HEADS),
    "span": TaskKind(
        "QUESTION_ANSWERING",
        "question-answering",
        "answers questions",
        {**dict.fromkeys(_SPAN_FAMILIES, HeadLayout("qa_outputs")), "modernbert": _PREDICTION},
    ),
    "choice": TaskKind("MULTIPLE_CHOICE", "multiple-choice", "chooses an ending", _CHOICE_HEADS),
}


@dataclass(frozen=True)
class CheckpointHead:
    """The head of a checkpoint.

    Attributes:
        name: The checkpoint.
        task: What it is for.
        labels: Its outputs, in order.
        problem_type: What its outputs say of a text; None if the checkpoint does not say.
        layout: Its layers.
        weights: The weights of each of them, under our names.
        others: The names of all other tensors of the checkpoint.
        never: Those of the labels that are never predicted.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    problem_type: ProblemType | None
    layout: HeadLayout
    weights: Weights
    others: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    @property
    def predicted(self) -> tuple[str, ...]:
        """The labels that may be predicted, in order."""
        return tuple(label for label in self.labels if label not in self.never)

    def rename(self, names: Mapping[str, str] | Sequence[str]) -> CheckpointHead:
        """Rename the labels.

        Args:
            names: New names by the old ones, or all new names in the order of the outputs. An output whose new name is
                `-` keeps its old name and is never predicted.

        Raises:
            CheckpointError: There is no label of an old name, there are more or fewer names than labels, two labels
                would have one name, or none would be left.
        """
        if isinstance(names, Mapping):
            if unknown := sorted(names.keys() - set(self.labels)):
                raise CheckpointError(f"{self.name} has no label {', '.join(unknown)}. It has {_join(self.labels)}.")
            new: Sequence[str | None] = [names.get(label) for label in self.labels]
        else:
            new = names
        if len(new) != len(self.labels):
            found = f"{format_count(len(self.labels), 'label')}, {_join(self.labels)}"
            raise CheckpointError(f"{self.name} has {found}. Expected a new name for each, not {len(new)}.")
        renamed = list(zip(self.labels, new, strict=True))
        labels = tuple(old if name in (None, NEVER) else name for old, name in renamed)
        never = frozenset(old for old, name in renamed if name == NEVER or (name is None and old in self.never))
        _check_differ(self.name, labels)
        if len(never) == len(labels):
            raise CheckpointError(f"No output of {self.name} would ever be predicted. Expected a name for some.")
        return replace(self, labels=labels, never=never)


def find_class(config: Mapping[str, Any], task: Task) -> str | None:
    """Find transformers' class for this task and the family of a configuration."""
    from transformers.models.auto import modeling_auto

    names = getattr(modeling_auto, f"MODEL_FOR_{TASKS[task].classes}_MAPPING_NAMES")
    return names.get(str(config.get("model_type")))


def find_task(config: Mapping[str, Any]) -> Task | None:
    """Find out from a configuration what its head is for.

    None if it does not name transformers' own class for the family: another class may compute anything.
    """
    classes = config.get("architectures")
    names = classes if isinstance(classes, list) else []
    return next((task for task in TASKS if (name := find_class(config, task)) and name in names), None)


def find_head_layout(config: Mapping[str, Any], task: Task) -> HeadLayout | None:
    """Find the layout of the head of a configuration, or None if we cannot compute the same."""
    from transformers.activations import ACT2FN

    family = str(config.get("model_type"))
    layout = TASKS[task].layouts.get(family)
    if layout is None:
        return None
    if family == "mobilebert" and layout.pooler and not config.get("classifier_activation", True):
        return None
    if layout.poolings:
        pooling = layout.poolings.get(str(config.get(layout.pooling_field, next(iter(layout.poolings)))))
        if pooling is None:
            return None
        layout = replace(layout, pooling=pooling)
    if layout.norm:
        settings = {"pooler": "classifier_bias", "norm": "norm_bias"}
        biases = [layer for layer, setting in settings.items() if config.get(setting)]
        layout = replace(layout, biases=("linear", *biases), norm_eps=config.get("norm_eps", layout.norm_eps))
    if layout.activation_field:
        layout = replace(layout, activation=str(config.get(layout.activation_field, layout.activation)))
    return layout if layout.activation in ACT2FN else None


def describe_pooling(config: Mapping[str, Any], task: Task, pooling: Pooling) -> dict[str, Any]:
    """Return the field of a configuration that tells heads of its family which vector of a window to read."""
    layout = TASKS[task].layouts.get(str(config.get("model_type")))
    values = [value for value, each in layout.poolings.items() if each == pooling] if layout else []
    return {layout.pooling_field: values[0]} if layout and values else {}


def read_head(name: str, task: Task, *, is_chosen: bool = False) -> CheckpointHead | None:
    """Read the head of a checkpoint, and nothing else of its weights.

    Args:
        name: As for `find_checkpoint_dir`.
        task: What the head has to be for.
        is_chosen: Whether the user chose the task: a checkpoint that does not say what its head is for is then
            assumed to have one for this task.

    Returns:
        The head, or None if the checkpoint has none for this task.

    Raises:
        CheckpointNotFoundError: There is no checkpoint of this name.
        CheckpointError: Our head would not compute the same, part of the head is missing, its labels do not fit its
            weights, it does not classify, or it is not known what it is for.
    """
    folder = find_checkpoint_dir(name)
    config = read_config(folder)
    named, layout = find_task(config), find_head_layout(config, task)
    if named not in (None, task) or (named is None and layout is None and not is_chosen):
        return None
    if layout is None:
        raise CheckpointError(
            f"{name} {TASKS[task].purpose} with a head of the family '{config['model_type']}', which cannot be "
            f"computed exactly here and is not imported. Expected one of {', '.join(sorted(TASKS[task].layouts))}."
        )
    present, names = list_weights(folder), layout.find_names()
    if named is None and f"{layout.linear}.weight" not in present:
        return None
    if named is None and not is_chosen:
        _raise_unnamed(name, config, layout)
    if missing := [theirs for theirs in names.values() if theirs not in present]:
        raise CheckpointError(f"{name} lacks weights of its head: {', '.join(missing)}.")
    found = read_weights(folder, set(names.values()))
    weights = {ours: found[theirs] for ours, theirs in names.items()}
    return _make_head(name, task, config, layout, weights, frozenset(present - set(names.values())))


def _make_head(
    name: str, task: Task, config: Mapping[str, Any], layout: HeadLayout, weights: Weights, others: frozenset[str]
) -> CheckpointHead:
    problem_type = config.get("problem_type")
    if problem_type not in (None, *get_args(ProblemType)):
        expected = ", ".join(get_args(ProblemType))
        raise CheckpointError(f"{name} has the problem_type {problem_type!r}. Expected one of {expected}.")
    shape = weights["linear.bias"].shape
    if len(shape) != 1:
        raise CheckpointError(f"The head of {name} has a bias of shape {tuple(shape)}. Expected one number per label.")
    labels = OUTPUTS.get(task) or _read_labels(name, config, shape[0])
    if shape[0] != len(labels):
        raise CheckpointError(f"The head of {name} has {shape[0]} outputs. Expected {len(labels)}: {_join(labels)}.")
    if len(labels) == 1 and problem_type == "single_label_classification":
        problem_type = None  # one output is no choice among several
    return CheckpointHead(name, task, labels, problem_type, layout, weights, others)


def _raise_unnamed(name: str, config: Mapping[str, Any], layout: HeadLayout) -> NoReturn:
    classes = " or ".join(f'["{each}"]' for each in (find_class(config, task) for task in TASKS) if each)
    raise CheckpointError(
        f"The config.json of {name} has architectures = {json.dumps(config.get('architectures'))}, which does not say "
        f"what the layer {layout.linear} is for. Expected {classes}; correct the field, or import the checkpoint with "
        "--factory bert_ner, bert_tagger, bert_textcat, bert_textcat_multilabel, bert_regressor, bert_qa or "
        "bert_multiple_choice."
    )


def describe_head(
    config: Mapping[str, Any], task: Task, labels: Sequence[str], problem_type: ProblemType | None = None
) -> dict[str, Any]:
    """Return the fields of a `config.json` that describe a head; the reverse of reading them.

    Args:
        config: The configuration of the encoder.
        task: What the head is for.
        labels: Its outputs, in order.
        problem_type: What its outputs say of a text.
    """
    described: dict[str, Any] = {
        "architectures": [find_class(config, task)],
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    if problem_type is not None:
        described["problem_type"] = problem_type
    return described


def _read_labels(name: str, config: Mapping[str, Any], n_labels: int) -> tuple[str, ...]:
    named = config.get("id2label")
    if named is None:
        return tuple(f"LABEL_{index}" for index in range(n_labels))
    by_index = dict(named) if isinstance(named, Mapping) else {}
    labels = tuple(label for index in range(n_labels) if isinstance(label := by_index.get(str(index)), str) and label)
    if not len(labels) == len(by_index) == n_labels:
        raise CheckpointError(
            f"The head of {name} has {format_count(n_labels, 'output')}; its id2label does not name each."
        )
    _check_differ(name, labels)
    return labels


def _check_differ(name: str, labels: Sequence[str]) -> None:
    if any(_SURROGATE.search(label) for label in labels):
        raise CheckpointError(f"{name} has a label with half of a surrogate pair. Rename it.")
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise CheckpointError(f"{name} gives the label {', '.join(twice)} to two outputs. Rename one of them.")


def _join(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:12])
    return f"{shown} …" if len(labels) > 12 else shown
