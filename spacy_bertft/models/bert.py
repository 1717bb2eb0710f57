"""The torch module of an encoder: transformers' own model, fed with padded windows."""

from __future__ import annotations

from typing import Any

import torch

from ..checkpoints import Checkpoint, clean_config, load_weights, read_first_line
from ..errors import CheckpointError
from ..pieces import PieceTokenizer
from ..training.layers import count_layers, find_depth

# Old checkpoints name the weights of a normalization like TensorFlow did.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class BertModule(torch.nn.Module):
    """A pretrained encoder with its tokenizer.

    Args:
        config: The content of a cleaned `config.json`.
        tokenizer: The tokenizer that its vocabulary belongs to.
        has_pooler: Whether the checkpoint has the dense layer over the first piece.

    Attributes:
        bert: The model of transformers.
        n_layers: How many layers it has.
    """

    def __init__(self, config: dict[str, Any], tokenizer: PieceTokenizer, *, has_pooler: bool) -> None:
        super().__init__()
        self.bert = _build_transformer(config)
        if not has_pooler and hasattr(self.bert, "pooler"):
            self.bert.pooler = None
        self.tokenizer = tokenizer
        self.n_layers = count_layers(self.bert.state_dict())
        self.pad_id = int(config.get("pad_token_id") or 0)

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.bert.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: `(W, P)` piece ids, padded.
            mask: `(W, P)` 1 for a piece, 0 for padding.

        Returns:
            `(W, P, H)` states of the last layer.
        """
        states: torch.Tensor = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def freeze(self, n_frozen: int) -> None:
        """Keep parameters below a depth from learning; see `training.layers`."""
        for name, parameter in self.bert.named_parameters():
            parameter.requires_grad_(find_depth(name, self.n_layers) >= n_frozen)


def build_bert(spec: dict[str, Any]) -> BertModule:
    """Build the module from its description: `config`, `tokenizer`, `has_pooler`; the weights are random."""
    return BertModule(clean_config(spec["config"]), PieceTokenizer(spec["tokenizer"]), has_pooler=spec["has_pooler"])


def describe_bert(checkpoint: Checkpoint) -> dict[str, Any]:
    """Write the description from which `build_bert` makes the module of a checkpoint."""
    return {
        "config": checkpoint.config,
        "tokenizer": checkpoint.tokenizer.json,
        "has_pooler": any(".pooler." in f".{name}" for name in checkpoint.weights),
    }


def load_bert(module: BertModule, checkpoint: Checkpoint) -> None:
    """Put the weights of a checkpoint into the module; those of a head are left out.

    Raises:
        CheckpointError: Weights of the encoder are missing or misshapen.
    """
    prefix = f"{module.bert.base_model_prefix}."
    weights = {}
    for name, tensor in checkpoint.weights.items():
        for old, new in _OLD_NAMES.items():
            name = name.replace(old, new)
        weights[name.removeprefix(prefix)] = tensor
    load_weights(module.bert, weights, checkpoint.name)


def _build_transformer(config: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    from_config: Any = AutoModel.from_config
    fields = dict(config)
    # Other families may name further models in their configuration, which transformers would then fetch.
    if config["model_type"] not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
        raise CheckpointError(
            f"'{config['model_type']}' is no encoder of text. Expected a family with a head for token classification, "
            "such as bert, distilbert, roberta or electra."
        )
    try:
        return from_config(AutoConfig.for_model(fields.pop("model_type"), **fields)).float()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"transformers cannot build an encoder of type '{config.get('model_type')}': {read_first_line(error)}"
        ) from error
