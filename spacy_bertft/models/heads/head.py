"""What the heads over an encoder share: their settings, and how their layers start."""

from __future__ import annotations

from typing import Any

import torch
from thinc.api import Model

from spacy_bertft.checkpoints import CheckpointHead, Task, load_weights, name_some
from spacy_bertft.errors import CheckpointError, SettingError, ShapeError
from spacy_bertft.models.encoder.module import find_bert, find_unused
from spacy_bertft.models.store.shim import get_shim


def check_head(dropout: float | None, head_lr_scale: float) -> None:
    """Check the settings that every head has.

    Raises:
        SettingError: A setting is outside what is allowed.
    """
    if dropout is not None and not 0 <= dropout < 1:
        raise SettingError("dropout", dropout, "a rate from 0 up to, but not 1")
    if head_lr_scale <= 0:
        raise SettingError("head_lr_scale", head_lr_scale, "a factor above 0")


def make_linear(width: int, n_outputs: int) -> torch.nn.Linear:
    """Make a linear layer that starts as those of BERT's own heads do."""
    linear = torch.nn.Linear(width, n_outputs)
    torch.nn.init.normal_(linear.weight, std=0.02)
    torch.nn.init.zeros_(linear.bias)
    return linear


def find_head_lr_scale(head_lr_scale: float, module: torch.nn.Module, name: str) -> float:
    """Return the factor on the learning rate of a parameter of a head: the same for all."""
    return head_lr_scale


def check_stored_head(model: Model[Any, Any], n_outputs: int) -> None:
    """Raise unless a head that was stored has the outputs that it should have, and fits its encoder.

    Raises:
        CheckpointError: It does not.
    """
    linear: torch.nn.Linear = get_shim(model).module.linear
    if not linear.out_features == model.maybe_get_dim("nO") == n_outputs:
        raise CheckpointError(f"Its head has {linear.out_features} outputs. Expected one for each of {n_outputs}.")
    width = model.layers[0].maybe_get_dim("nO")
    if width not in (None, linear.in_features):
        raise CheckpointError(
            f"Its head is for states of width {linear.in_features}; those of its encoder have {width}."
        )


def check_width(linear: torch.nn.Linear, vectors: torch.Tensor) -> None:
    """Raise unless states have the width that a head is for; those of a shared encoder come from another component.

    Raises:
        ShapeError: They have another.
    """
    if vectors.shape[-1] != linear.in_features:
        raise ShapeError(
            "the states of the encoder", tuple(vectors.shape), f"a width of {linear.in_features}, as trained"
        )


def find_pretrained_head(model: Model[Any, Any], task: Task) -> CheckpointHead | None:
    """Read the head that came with the checkpoint of a model's encoder, or nothing where there is none.

    Raises:
        CheckpointNotFoundError: The encoder has a checkpoint of its own, and nothing stands under its name.
        CheckpointError: Part of the head is missing, or it does not classify.
    """
    read = model.layers[0].attrs.get("read_head")
    head: CheckpointHead | None = read(task) if read else None
    return head


def load_head(model: Model[Any, Any], head: CheckpointHead) -> None:
    """Put the weights of a checkpoint's head into an initialized model; what it lacks stays as it is.

    Raises:
        SettingError: The model has no place for some of them, or its features are not those of the last layer.
        CheckpointError: The weights do not fit, or the checkpoint has more weights than its encoder and this head.
    """
    module, bert = get_shim(model).module, find_bert(model)
    if not head.weights.keys() <= module.state_dict().keys():
        raise SettingError("pooling", None, f"cls, for which the head of {head.name} was trained")
    if bert is not None and bert.layers != "last":
        raise SettingError("layers", bert.layers, f"last, for which the head of {head.name} was trained")
    if bert is not None and (unused := find_unused(bert, head.others)):
        raise CheckpointError(
            f"{head.name} has weights that neither its encoder nor its head uses: {name_some(unused)}. What its own "
            "code does with them cannot be computed here. If they are leftovers, load the checkpoint with transformers "
            "and save it again."
        )
    load_weights(module, module.state_dict() | head.weights, f"the head of {head.name}")
