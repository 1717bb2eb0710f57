"""The torch module of an encoder: transformers' own model, fed with padded windows."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from contextlib import nullcontext
from inspect import signature
from typing import Any, NamedTuple

import torch

from spacy_bertft.checkpoints import (
    Activation,
    Checkpoint,
    Weights,
    check_padding,
    check_vocab_size,
    clean_config,
    find_head_layout,
    load_weights,
)
from spacy_bertft.errors import CheckpointError, wrap_errors
from spacy_bertft.models.encoder.adapter import add_adapter_names, inject_adapter, is_adapter
from spacy_bertft.models.encoder.features import Layers, count_features, count_read, select_states
from spacy_bertft.models.runtime.attention import LEAST_PIECES, AlignedAttention
from spacy_bertft.models.runtime.dropout import speed_up_dropout
from spacy_bertft.models.runtime.layers import FusedLayers
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.training.layers import count_layers, find_depth

# Of a number of labels transformers would make a table, however large it is.
_NOT_OF_THE_ENCODER = {"id2label", "label2id", "model_type", "num_labels", "problem_type"}
# What a model has several of, each of which takes time to build.
_COUNTS = ("layers", "layer", "heads", "head", "groups", "group_num", "networks")
_MOST = 1000
# Constants that older versions of transformers stored, and the pooler, which few heads use.
_SPARE = re.compile(r"pooler\.|(.+\.)?(position_ids|token_type_ids|inv_freq)$")
# Old checkpoints name the weights of a normalization like TensorFlow did.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class WindowSize(NamedTuple):
    """How long texts are cut into windows, in pieces without special pieces.

    Attributes:
        size: The most pieces of a window.
        stride: Pieces from one window to the next.
    """

    size: int
    stride: int


class BertModule(torch.nn.Module):
    """A pretrained encoder with its tokenizer.

    Args:
        config: The content of a cleaned `config.json`.
        tokenizer: The tokenizer that its vocabulary belongs to.
        has_pooler: Whether the checkpoint has the dense layer over the first piece.
        layers: Which hidden states make the features.

    Attributes:
        bert: The model of transformers.
        n_layers: How many layers it has.
        window: How long texts are cut for it.
        always_frozen: The depth below which parameters never learn.
        feature_width: Width of the features of a piece.
        has_types: Whether it knows segment ids.

    Raises:
        SettingError: The encoder has too few layers for the features.
    """

    def __init__(
        self, config: dict[str, Any], tokenizer: PieceTokenizer, *, has_pooler: bool, layers: Layers = "last"
    ) -> None:
        super().__init__()
        self.window: WindowSize
        self.bert = _build_transformer(config)
        if not has_pooler and hasattr(self.bert, "pooler"):
            self.bert.pooler = None
        speed_up_dropout(self.bert)
        self.tokenizer = tokenizer
        self.n_layers = count_layers(self.bert.state_dict())
        self.always_frozen = 0
        self.pad_id = int(config.get("pad_token_id") or 0)
        self.layers = layers
        self.feature_width = count_features(layers, self.width, self.n_layers)
        # Some families know no segment ids, some only one.
        self.has_types = getattr(self.bert.config, "type_vocab_size", 0) > 1
        self.has_types &= "token_type_ids" in signature(self.bert.forward).parameters
        # MobileBERT puts the embeddings of three neighbours side by side: padding has to look like the end of a text.
        self._sees_neighbours = bool(getattr(self.bert.config, "trigram_input", False))

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.bert.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def pooler(self) -> torch.nn.Linear | None:
        """The dense layer over the first piece that came with the checkpoint, if there is one."""
        dense = getattr(getattr(self.bert, "pooler", None), "dense", None)
        dense = getattr(dense, "base_layer", dense)  # below an adapter
        return dense if isinstance(dense, torch.nn.Linear) else None

    @property
    def head_activation(self) -> Activation:
        """What follows the dense layer over the first piece in text classifiers of the family."""
        layout = find_head_layout(self.bert.config.to_dict(), "text")
        return "tanh" if layout is None else layout.activation

    @property
    def learns(self) -> bool:
        """Whether any parameter is left to learn."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: `(W, P)` piece ids, padded.
            mask: `(W, P)` 1 for a piece, 0 for padding.
            types: `(W, P)` segment ids; left out where the model knows none.

        Returns:
            `(W, P, F)` features.
        """
        inputs = {"inputs_embeds": self.embed(ids) * mask[:, :, None]} if self._sees_neighbours else {"input_ids": ids}
        with AlignedAttention() if self._is_worth_aligning(ids) else nullcontext():
            return self._make_features(self._run(inputs, mask, types))

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Look up the vectors of pieces, `(W, P)` → `(W, P, E)`; positions and segments are not in them yet."""
        vectors: torch.Tensor = self.bert.get_input_embeddings()(ids)
        return vectors

    def run_embedded(self, vectors: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Run the encoder on vectors in the place of pieces, without padding.

        Args:
            vectors: `(W, P, E)`, as `embed` makes them.
            types: `(W, P)` segment ids.

        Returns:
            `(W, P, F)` features.
        """
        return self._make_features(self._run({"inputs_embeds": vectors}, torch.ones_like(types), types))

    def read_attentions(self, ids: torch.Tensor, types: torch.Tensor) -> list[torch.Tensor]:
        """Run the encoder and read the attention of the layers below the features, bottom up, without padding.

        Args:
            ids: `(W, P)` piece ids.
            types: `(W, P)` segment ids.

        Returns:
            For each layer `(W, A, P, P)`: how much each piece, by row, attends to each, by column. None where the
            model does not tell, as where its attention is not computed in the way that transformers calls eager.
        """
        output = self._run({"input_ids": ids}, torch.ones_like(ids), types, output_attentions=True)
        found = [each for each in output.attentions or () if each is not None]
        return found[: count_read(self.layers, self.n_layers)] if len(found) == self.n_layers else []

    def _run(self, inputs: dict[str, Any], mask: torch.Tensor, types: torch.Tensor, **wanted: bool) -> Any:
        if self.has_types:
            inputs = {**inputs, "token_type_ids": types}
        has_all = self.layers != "last"
        return self.bert(**inputs, attention_mask=mask, output_hidden_states=has_all, return_dict=True, **wanted)

    def _make_features(self, output: Any) -> torch.Tensor:
        states: torch.Tensor = output.last_hidden_state
        return states if self.layers == "last" else select_states(output.hidden_states, self.layers)

    def _is_worth_aligning(self, ids: torch.Tensor) -> bool:
        is_aligned = isinstance(self.bert, FusedLayers)
        return ids.device.type == "cpu" and ids.numel() >= LEAST_PIECES and not is_aligned

    def thaw(self, n_thawed: int) -> None:
        """Let the top layers learn, and after all of them the embeddings, but nothing that is frozen for good."""
        frozen = self.n_layers + 1 - n_thawed if n_thawed else self.n_layers + 2
        self.freeze(max(self.always_frozen, frozen))

    def freeze(self, n_frozen: int) -> None:
        """Keep parameters below a depth from learning, see `training.layers`; beside an adapter nothing else learns."""
        names = [name for name, _ in self.bert.named_parameters()]
        has_adapter = any(map(is_adapter, names))
        for name, parameter in self.bert.named_parameters():
            may_learn = is_adapter(name) or not has_adapter
            parameter.requires_grad_(may_learn and find_depth(name, self.n_layers) >= n_frozen)


def build_bert(spec: dict[str, Any], layers: Layers = "last") -> BertModule:
    """Build the module from its description: `config`, `tokenizer`, `has_pooler`; the weights are random.

    A description may also hold the settings of an `adapter`.
    """
    config, tokenizer = clean_config(spec["config"]), PieceTokenizer(spec["tokenizer"])
    module = BertModule(config, tokenizer, has_pooler=spec["has_pooler"], layers=layers)
    known = {"vocab_size": getattr(module.bert.config, "vocab_size", None), "pad_token_id": config.get("pad_token_id")}
    check_vocab_size("the encoder", known, tokenizer)
    if adapter := spec.get("adapter"):
        inject_adapter(module.bert, adapter)
    return module


def describe_bert(checkpoint: Checkpoint, adapter: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write the description from which `build_bert` makes the module of a checkpoint, beside an adapter or alone."""
    return {
        "config": checkpoint.config,
        "tokenizer": checkpoint.tokenizer.json,
        "has_pooler": any(".pooler." in f".{name}" for name in checkpoint.weights),
        "adapter": adapter,
    }


def load_bert(module: BertModule, checkpoint: Checkpoint) -> None:
    """Put the weights of a checkpoint into the module; those of a head are left out.

    Raises:
        CheckpointError: Weights of the encoder are missing or misshapen.
    """
    prefix = f"{module.bert.base_model_prefix}."
    weights = {name.removeprefix(prefix): tensor for name, tensor in rename_old(checkpoint.weights).items()}
    own = module.bert.state_dict()
    if any(map(is_adapter, own)):
        weights = add_adapter_names(own, weights)
    load_weights(module.bert, weights, checkpoint.name)


def find_unused(module: BertModule, names: Collection[str]) -> list[str]:
    """Find the tensors of a checkpoint that are no weights of its encoder, though they may change what it computes.

    Args:
        module: The encoder.
        names: Names of tensors, without those of the head.
    """
    prefix = f"{module.bert.base_model_prefix}."
    own = {name.replace(".base_layer.", ".") for name in module.bert.state_dict()}  # below an adapter
    ignored = getattr(module.bert, "_keys_to_ignore_on_load_unexpected", None) or ()
    ignored = [ignored] if isinstance(ignored, str) else ignored

    has_prefix = any(name.startswith(prefix) for name in names)

    def is_used(name: str) -> bool:
        if any(re.search(pattern, name) for pattern in ignored):
            return True
        inner = _rename(name).removeprefix(prefix)
        return name.startswith(prefix) == has_prefix and (inner in own or _SPARE.match(inner) is not None)

    return sorted(name for name in names if not is_used(name))


def rename_old(weights: Weights) -> Weights:
    """Give the weights of a normalization the names that they have today."""
    return {_rename(name): tensor for name, tensor in weights.items()}


def _rename(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    return name


def configure_transformer(config: dict[str, Any]) -> Any:
    """Make the configuration that transformers builds a model from, its head left out.

    Args:
        config: The content of a cleaned `config.json`.

    Raises:
        CheckpointError: It holds what is of no use, such as a billion layers, or a name for a number.
    """
    from transformers import AutoConfig

    fields = {name: value for name, value in config.items() if name not in _NOT_OF_THE_ENCODER}
    for name, value in fields.items():
        is_count = name.endswith(_COUNTS) and "decoder" not in name and type(value) in (int, float)
        if is_count and not 1 <= value <= _MOST:
            raise CheckpointError(f"Its configuration has {name} = {value}. Expected a number from 1 to {_MOST:,}.")
    check_padding(config)
    for name, default in AutoConfig.for_model(config["model_type"]).to_dict().items():
        if not _is_like(default, fields.get(name, default), name):
            raise CheckpointError(f"Its configuration has {name} = {fields[name]!r}. Expected one like {default!r}.")
    return AutoConfig.for_model(config["model_type"], **fields)


def _is_like(default: Any, value: Any, name: str) -> bool:
    """Tell whether a value is of the kind of the family's own; transformers 4 would not see that before it computes."""
    if isinstance(default, float):
        return type(value) in (int, float) and math.isfinite(value)
    may_lack = not name.endswith(("act", "activation"))
    return not isinstance(default, str) or isinstance(value, str) or (value is None and may_lack)


def _build_transformer(config: dict[str, Any]) -> Any:
    from transformers import AutoModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES, MODEL_MAPPING

    family = config["model_type"]
    # Other families may name further models in their configuration, which transformers would then fetch.
    if family not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
        raise CheckpointError(
            f"'{family}' is no encoder of text. Expected a family with a head for token classification, "
            "such as bert, distilbert, roberta or electra."
        )
    with wrap_errors(f"transformers cannot build an encoder of type '{family}'"):
        described = configure_transformer(config)
        # The table gives the class alone; `from_config` of transformers 4 imports the configurations of all families.
        found: Any = MODEL_MAPPING[type(described)]
        has_choice = isinstance(found, tuple)  # Funnel has two models, and its configuration says which
        return (AutoModel.from_config if has_choice else found)(described).float()
