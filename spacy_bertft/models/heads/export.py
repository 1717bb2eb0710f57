"""A head ↔ its form as a checkpoint of transformers."""

from __future__ import annotations

from typing import Any

from spacy_bertft.checkpoints import Checkpoint, CheckpointHead, Task
from spacy_bertft.checkpoints.heads import TASKS, describe_pooling, find_head_layout
from spacy_bertft.checkpoints.weights import load_weights, name_some
from spacy_bertft.errors import CheckpointError, SettingError, UnsupportedError
from spacy_bertft.models.encoder.loading import build_described, convert_to_stored, find_unused
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.trainable import merge_adapter
from spacy_bertft.models.heads.head import ANY_LENGTH, HeadModel, read_layers


def load_head(model: HeadModel[Any], head: CheckpointHead) -> None:
    """Put the weights of a checkpoint's head into an initialized model; what it lacks stays as it is.

    Raises:
        SettingError: The model has no place for some of them, or its features are not those of the last layer.
        CheckpointError: The weights do not fit, or the checkpoint has more weights than its encoder and this head.
    """
    source = model.find_source()
    if model.pooling != head.layout.pooling:
        raise SettingError(
            "pooling", model.pooling, f"{head.layout.pooling}, for which the head of {head.name} was trained"
        )
    if source is not None and source.settings.layers != "last":
        raise SettingError("layers", source.settings.layers, f"last, for which the head of {head.name} was trained")
    if source is not None and (unused := find_unused(source.module, head.others, head.task)):
        raise CheckpointError(
            f"{head.name} has weights that neither its encoder nor its head uses: {name_some(unused)}. What its own "
            "code does with them cannot be computed here. If they are leftovers, load the checkpoint with transformers "
            "and save it again."
        )
    # The layers are those of the head, whatever those of a new head over this encoder would be.
    if read_layers(model.shim.spec) != head.layout.spec:
        model.shim.attach(model.shim.spec | head.layout.spec)
    module = model.module
    load_weights(module, module.state_dict() | head.weights, f"the head of {head.name}")
    model.attrs["longest_learned"] = ANY_LENGTH  # what it has learned from elsewhere is not known


def export_checkpoint(model: HeadModel[Any], task: Task, name: str) -> Checkpoint:
    """Give an encoder and its head as a checkpoint of transformers; an adapter is merged into the weights.

    Args:
        model: A model with a head, initialized.
        task: What the head is for.
        name: What to call it in errors.

    Returns:
        A checkpoint whose configuration does not describe the head yet.

    Raises:
        UnsupportedError: No class of transformers computes the same: the features or the pooling are others.
    """
    source = model.find_source()
    if source is None:
        raise UnsupportedError(f"{name} has no encoder of its own, so there is nothing to export.")
    if source.settings.layers != "last":
        raise UnsupportedError(
            f"{name} sees features of other layers (layers = {source.settings.layers}), which no head of transformers "
            "does. Expected layers = last."
        )
    bert: BertModule = source.module
    spec = source.shim.spec
    config = spec["config"] | describe_pooling(spec["config"], task, model.pooling)
    layout, family = find_head_layout(config, task), config["model_type"]
    if layout is None:
        raise UnsupportedError(f"{name}: no head of the family '{family}' that {TASKS[task].purpose} is known.")
    if model.pooling != layout.pooling or read_layers(model.shim.spec) != layout.spec:
        raise UnsupportedError(
            f"{name} has other layers before the scores than a head of the family '{family}' in transformers. "
            f"Expected pooling = {layout.pooling}."
        )
    made = build_described(bert.bert.config, task)
    if type(made.base_model) is not type(bert.bert):
        kinds = f"{type(bert.bert).__name__}, but {type(made).__name__} those of {type(made.base_model).__name__}"
        raise UnsupportedError(f"{name} reads the states of {kinds}.")
    head = model.module.state_dict()
    encoder = merge_adapter(bert.bert) if spec.get("adapter") else bert.bert.state_dict()
    weights = {f"{bert.bert.base_model_prefix}.{key}": each for key, each in encoder.items()}
    # The pooler that BERT's head for texts has comes from our head, where it has learned; that for tokens has none.
    weights |= {theirs: head[ours] for ours, theirs in layout.find_names().items()}
    known = made.state_dict().keys()
    weights = convert_to_stored(made, {key: each for key, each in weights.items() if key in known})
    return Checkpoint(name, config, bert.tokenizer, weights)
