"""A checkpoint → the module of an encoder, and the configuration from which transformers builds a model."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from spacy_bertft.checkpoints import Checkpoint, Task, Weights
from spacy_bertft.checkpoints.checkpoint import check_padding, check_vocab_size, clean_config
from spacy_bertft.checkpoints.heads import find_class, find_task
from spacy_bertft.checkpoints.weights import load_weights
from spacy_bertft.errors import CheckpointError, SettingError, wrap_errors
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.settings import EncoderSettings, Layers
from spacy_bertft.models.encoder.trainable import add_adapter_names, count_frozen, inject_adapter, is_adapter
from spacy_bertft.tokens import PieceTokenizer

# Of a number of labels transformers would make a table, however large it is.
_NOT_OF_THE_ENCODER = {"id2label", "label2id", "model_type", "num_labels", "problem_type"}
# What a model has several of, each of which takes time to build.
_COUNTS = ("layers", "layer", "heads", "head", "groups", "group_num", "networks")
_MOST = 1000
# Constants that older versions of transformers stored, and the pooler, which few heads use.
_SPARE = re.compile(r"pooler\.|(.+\.)?(position_ids|token_type_ids|inv_freq)$")


def build_bert(spec: dict[str, Any], layers: Layers = "last") -> BertModule:
    """Build the module from its description: `config`, `tokenizer`, `has_pooler`; the weights are random.

    A description may also hold the settings of an `adapter`.
    """
    config, tokenizer = clean_config(spec["config"]), PieceTokenizer(spec["tokenizer"])
    bert, pad_id = build_transformer(config), int(config.get("pad_token_id") or 0)
    module = BertModule(bert, tokenizer, pad_id=pad_id, has_pooler=spec["has_pooler"], layers=layers)
    known = {"vocab_size": getattr(module.bert.config, "vocab_size", None), "pad_token_id": config.get("pad_token_id")}
    check_vocab_size("the encoder", known, tokenizer)
    if adapter := spec.get("adapter"):
        inject_adapter(module.bert, adapter)
    return module


def build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    """Build the module of an encoder from its settings and its description.

    Raises:
        SettingError: A setting does not fit the encoder.
    """
    module = build_bert(spec, settings.layers)
    module.tokenizer.by_token = settings.tokenize == "tokens"
    module.tokenizer.by_sentence = settings.windows_over == "sentences"
    by_layer = settings.frozen_layers == "all_but_last" or settings.layer_lr_decay != 1
    if module.n_layers == 0 and (by_layer or settings.layers in ("scalar_mix", "all")):
        expected = "embeddings, none or all of them frozen, one learning rate, and features of last layers"
        raise SettingError("encoder", settings.name, f"{expected}, since its layers are not told apart by their names")
    module.window = settings.choose_window(spec["config"], module.tokenizer.n_special)
    module.always_frozen = count_frozen(settings.frozen_layers, module.n_layers)
    module.freeze(module.always_frozen)
    return module


def describe_bert(checkpoint: Checkpoint, adapter: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write the description from which `build_bert` makes the module of a checkpoint, with an adapter or without."""
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
    with wrap_errors(f"transformers cannot convert the weights in {checkpoint.name}"):
        weights = _convert_stored(module.bert, checkpoint.weights)
    weights = {rename_old(name).removeprefix(prefix): tensor for name, tensor in weights.items()}
    own = module.bert.state_dict()
    if any(map(is_adapter, own)):
        weights = add_adapter_names(own, weights)
    load_weights(module.bert, weights, checkpoint.name)


def _convert_stored(bert: Any, weights: Weights) -> Weights:
    """Convert weights of a family that transformers 5 stores in another form than it computes with."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:  # transformers 4
        return weights
    if not get_model_conversion_mapping(bert, add_legacy=False):
        return weights
    kind: Any = type(bert)
    with quiet_transformers():  # what is missing, we report
        made, report = kind.from_pretrained(None, config=bert.config, state_dict=weights, output_loading_info=True)
    return {name: tensor for name, tensor in made.state_dict().items() if name not in report["missing_keys"]}


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let transformers print neither warnings nor progress while the context is open."""
    logging: Any = import_module("transformers.utils.logging")
    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


def convert_to_stored(model: Any, weights: Weights) -> Weights:
    """Convert weights of a model of transformers to the form in which it stores them."""
    try:
        from transformers.core_model_loading import revert_weight_conversion
    except ImportError:  # transformers 4
        return weights
    return dict(revert_weight_conversion(model, weights))


def build_described(config: Any, task: Task) -> Any:
    """Build transformers' model with a head for a task, without memory for its weights.

    Args:
        config: The configuration of an encoder of transformers.
        task: What the head is for.
    """
    kind: Any = getattr(import_module("transformers"), str(find_class(config.to_dict(), task)))
    with torch.device("meta"):
        return kind(copy.deepcopy(config))


def find_unused(module: BertModule, names: Collection[str], task: Task) -> list[str]:
    """Find the tensors of a checkpoint that are no weights of its encoder, though they may change what it computes.

    Args:
        module: The encoder.
        names: Names of tensors, without those of the head.
        task: What its head is for.
    """
    stored = {}
    if find_class(module.bert.config.to_dict(), task):
        described = build_described(module.bert.config, task)
        stored = convert_to_stored(described, described.state_dict())
    prefix = f"{module.bert.base_model_prefix}."
    own = {name.replace(".base_layer.", ".") for name in module.bert.state_dict()}  # below an adapter
    ignored = getattr(module.bert, "_keys_to_ignore_on_load_unexpected", None) or ()
    ignored = [ignored] if isinstance(ignored, str) else ignored

    has_prefix = any(name.startswith(prefix) for name in names)

    def is_used(name: str) -> bool:
        if name in stored or any(re.search(pattern, name) for pattern in ignored):
            return True
        inner = rename_old(name).removeprefix(prefix)
        return name.startswith(prefix) == has_prefix and (inner in own or _SPARE.match(inner) is not None)

    return sorted(name for name in names if not is_used(name))


def rename_old(name: str) -> str:
    """Give a weight of a normalization, which old checkpoints name like TensorFlow did, the name that it has today."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


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
    defaults = AutoConfig.for_model(config["model_type"]).to_dict()
    _check_positions(fields, defaults)
    for name, default in defaults.items():
        if not _is_like(default, fields.get(name, default), name):
            raise CheckpointError(f"Its configuration has {name} = {fields[name]!r}. Expected one like {default!r}.")
    return AutoConfig.for_model(config["model_type"], **fields)


def _check_positions(fields: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise where this version of transformers ignores what another one has stored of positions."""
    kind, rope = fields.get("position_embedding_type"), fields.get("rope_parameters")
    if kind not in (None, "absolute") and "position_embedding_type" not in defaults:
        raise CheckpointError(
            f"Its configuration has position_embedding_type = {kind!r}. Expected transformers 4 for it."
        )
    if rope and "rope_parameters" not in defaults:
        names = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}  # of ModernBERT
        if rope.keys() != names.keys():
            raise CheckpointError(f"Its configuration has rope_parameters = {rope}. Expected transformers 5 for it.")
        fields |= {name: rope[kind]["rope_theta"] for kind, name in names.items()}


def _is_like(default: Any, value: Any, name: str) -> bool:
    """Tell whether a value is of the kind of the family's own; transformers 4 would not see that before it computes."""
    if isinstance(default, float):
        return type(value) in (int, float) and math.isfinite(value)
    may_lack = not name.endswith(("act", "activation"))
    return not isinstance(default, str) or isinstance(value, str) or (value is None and may_lack)


def build_transformer(config: dict[str, Any], *, has_masked_head: bool = False) -> Any:
    """Build transformers' own encoder, with random weights.

    Args:
        config: The content of a cleaned `config.json`.
        has_masked_head: Whether it gets the head for masked language modeling.

    Raises:
        CheckpointError: The family is no encoder of text, or has no such head, or its configuration makes no sense.
    """
    from transformers.models.auto import modeling_auto

    family = config["model_type"]
    # Other families may name further models in their configuration, which transformers would then fetch.
    known = modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES if has_masked_head else known
    if not (family in known and family in masked):
        head = " with a head for masked language modeling" if has_masked_head else ""
        raise CheckpointError(
            f"'{family}' is no encoder of text{head} in transformers. Expected a family with a head for token "
            "classification, such as bert, distilbert, roberta or electra."
        )
    classes: Any = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING if has_masked_head else modeling_auto.MODEL_MAPPING
    with wrap_errors(f"transformers cannot build an encoder of type '{family}'"):
        described = configure_transformer(config)
        # The table gives the class alone; `from_config` of transformers 4 imports the configurations of all families.
        found = classes[type(described)]
        if isinstance(found, tuple):  # Funnel has two models; its heads for texts read the one without a decoder
            has_no_decoder = find_task(config) == "text" or found[1].__name__ in (config.get("architectures") or ())
            found = found[has_no_decoder]
        return found(described).float()
