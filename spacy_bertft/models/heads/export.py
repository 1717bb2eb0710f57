"""The weights of an encoder and its head under the names that transformers gives them."""

from __future__ import annotations

from typing import Any

from spacy_bertft.checkpoints import Checkpoint, Task, Weights, find_head_layout
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.adapter import merge_adapter
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.heads.head import HeadModel


def export_checkpoint(model: HeadModel[Any], task: Task, name: str) -> Checkpoint:
    """Give an encoder and its head as a checkpoint of transformers; an adapter is merged into the weights.

    Args:
        model: A model with a head, initialized.
        task: What the head is for.
        name: What to call it in errors.

    Returns:
        A checkpoint whose configuration does not speak of the head yet.

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
    layout = find_head_layout(spec["config"], task)
    if layout is None:
        family = spec["config"]["model_type"]
        raise UnsupportedError(f"It is not known how transformers classifies {task}s with the family '{family}'.")
    head = model.module.state_dict()
    names = layout.find_names()
    if not names.keys() <= head.keys():
        raise UnsupportedError(
            f"{name} has no layer between the first piece and the scores, which every text classifier of transformers "
            "has. Expected pooling = cls."
        )
    encoder = merge_adapter(bert.bert) if spec.get("adapter") else bert.bert.state_dict()
    prefix = bert.bert.base_model_prefix
    # A pooler that the head of transformers has comes from our head, where it has learned.
    weights: Weights = {f"{prefix}.{key}": each for key, each in encoder.items() if not key.startswith("pooler.")}
    weights |= {theirs: head[ours] for ours, theirs in names.items()}
    return Checkpoint(name, spec["config"], bert.tokenizer, weights)
