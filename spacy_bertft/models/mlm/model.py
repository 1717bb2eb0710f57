"""The torch module for masked language modeling: transformers' own, with the head of its family."""

from __future__ import annotations

from typing import Any

import torch

from spacy_bertft.checkpoints import Checkpoint, Weights
from spacy_bertft.checkpoints.weights import list_tied, load_weights
from spacy_bertft.errors import name_source
from spacy_bertft.models.encoder.loading import build_transformer, rename_old
from spacy_bertft.models.runtime.dropout import speed_up_dropout
from spacy_bertft.models.store.building import SizeLimit

# What a configuration says of a head of another kind.
_HEAD_FIELDS = ("architectures", "id2label", "label2id", "num_labels", "problem_type", "finetuning_task")
_POOLER = "pooler."


class MaskedLanguageModel(torch.nn.Module):
    """An encoder with a head that scores every piece of the vocabulary.

    Args:
        config: The content of a cleaned `config.json`.

    Attributes:
        bert: The model of transformers.

    Raises:
        CheckpointError: transformers has no such head for the family.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.bert = build_transformer(config, has_masked_head=True)
        speed_up_dropout(self.bert)
        self._wanted: torch.Tensor | None = None
        self.encoder.register_forward_hook(self._keep_wanted)

    @property
    def encoder(self) -> torch.nn.Module:
        """What is below the head."""
        return getattr(self.bert, self.bert.base_model_prefix)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Score the vocabulary for some pieces.

        A vocabulary is large: to score it for all pieces would take as long as a small encoder.

        Args:
            ids: `(W, P)` piece ids, padded.
            mask: `(W, P)` 1 for a piece, 0 for padding.
            wanted: `(W, P)` which pieces are asked for.

        Returns:
            `(C, V)` scores, row after row.
        """
        self._wanted = wanted
        try:
            scores: torch.Tensor = self.bert(input_ids=ids, attention_mask=mask, return_dict=True).logits
        finally:
            self._wanted = None
        return scores.squeeze(0)

    def _keep_wanted(self, module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        if self._wanted is not None:
            output["last_hidden_state"] = output["last_hidden_state"][self._wanted][None]
        return output


def load_masked_model(checkpoint: Checkpoint) -> tuple[MaskedLanguageModel, bool]:
    """Build the module of a checkpoint.

    Returns:
        The module, and whether the checkpoint has the head. If not, the head starts as transformers starts it: the
        layer that scores the vocabulary is the embeddings, where the configuration ties them, and the rest is random.

    Raises:
        CheckpointError: Weights of the encoder are missing or misshapen, or part of the head is missing.
    """
    with name_source(checkpoint.name), SizeLimit(checkpoint.weights, checkpoint.name):
        model = MaskedLanguageModel(checkpoint.config)
    bert, prefix = model.bert, f"{model.bert.base_model_prefix}."
    own = bert.state_dict()
    renamed = ((rename_old(name), tensor) for name, tensor in checkpoint.weights.items())
    # A checkpoint of the encoder alone does not name it.
    found = {name if name in own else f"{prefix}{name}": tensor for name, tensor in renamed}
    found = {name: tensor for name, tensor in found.items() if name in own}
    by_parameter = _list_names(bert)
    for first, *others in by_parameter:
        known = next((name for name in (first, *others) if name in found), None)
        found |= {} if known is None else dict.fromkeys((first, *others), found[known])
    head = [name for names in by_parameter if not names[0].startswith(prefix) for name in names]
    has_head = any(name in found for name in head)
    fresh = {} if has_head else {name: own[name].clone() for name in head}
    load_weights(bert, {**fresh, **found}, checkpoint.name)
    return model, has_head


def export_masked_model(model: MaskedLanguageModel, checkpoint: Checkpoint) -> Checkpoint:
    """Give the module as a checkpoint of transformers.

    Args:
        model: The module.
        checkpoint: What it was loaded from. A pooler, which this module lacks, is taken from it as it is.
    """
    bert, prefix = model.bert, f"{model.bert.base_model_prefix}."
    others = {name for _, *others in _list_names(bert) for name in others}
    weights: Weights = {name: tensor for name, tensor in bert.state_dict().items() if name not in others}
    for name, tensor in checkpoint.weights.items():
        inner = name.removeprefix(prefix)
        if inner.startswith(_POOLER) and f"{prefix}{inner}" not in weights:
            weights[f"{prefix}{inner}"] = tensor.float()
    config = {field: value for field, value in checkpoint.config.items() if field not in _HEAD_FIELDS}
    config["architectures"] = [type(bert).__name__]
    return Checkpoint(checkpoint.name, config, checkpoint.tokenizer, weights)


def _list_names(module: Any) -> list[list[str]]:
    """List the names of every parameter; tied ones have several, that within the encoder first."""
    prefix = f"{module.base_model_prefix}."
    return [sorted(names, key=lambda name: not name.startswith(prefix)) for names in list_tied(module)]
