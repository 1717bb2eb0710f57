"""A checkpoint in memory: configuration, tokenizer, weights.

A `config.json` is data: what names code, or says how to run it, is taken out before transformers sees it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly

from spacy_bertft.checkpoints.source import find_checkpoint_dir
from spacy_bertft.checkpoints.tokenizer import read_tokenizer_dir
from spacy_bertft.checkpoints.weights import Weights, name_some, read_weights, write_weight_file
from spacy_bertft.errors import CheckpointError, SettingError, wrap_errors
from spacy_bertft.tokens import PieceTokenizer

# Fields that make transformers import, download or choose code, or change the type of the weights. Every field that
# opens with an underscore goes too: those are transformers' own notes, `_attn_implementation` among them.
CODE_FIELDS = frozenset(
    {
        "attn_implementation",
        "attribute_map",  # gives a field a second name, `_attn_implementation` for one
        "auto_map",
        "custom_pipelines",
        "device_map",
        "dtype",
        "experts_implementation",
        "kernel_config",
        "quantization_config",
        "sub_configs",
        "torch_dtype",
        "torchscript",
        "trust_remote_code",
    }
)

_LONGEST_DEFAULT_WINDOW = 512
# These families number their positions from `pad_token_id + 1`.
_OFFSET_POSITIONS = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"),
        *("mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)


def clean_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the fields that name code, at any depth.

    The keys of `label2id` are labels, not fields: all that map to a number stay.

    Example:
        >>> clean_config({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation": "x/y"})
        {'model_type': 'bert'}
    """
    return {
        key: _clean(value, key) for key, value in config.items() if not key.startswith("_") and key not in CODE_FIELDS
    }


def _clean(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping) and key == "label2id":
        return {label: index for label, index in value.items() if isinstance(index, int)}
    if isinstance(value, Mapping):
        return clean_config(value)
    return [_clean(item) for item in value] if isinstance(value, list) else value


def find_max_positions(config: Mapping[str, Any]) -> int | None:
    """Find how many positions the model has, special pieces included, or None if there is no limit."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return None
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id") or 0) + 1
    if config.get("model_type") == "big_bird" and config.get("attention_type", "block_sparse") == "block_sparse":
        # Beyond, its attention is another one, and which one depends on the longest text of a batch.
        n_blocks = 5 + 2 * int(config.get("num_random_blocks", 3))
        positions = min(positions, n_blocks * int(config.get("block_size", 64)))
    return positions


def check_padding(config: Mapping[str, Any]) -> None:
    """Raise if a family that numbers its positions from the id of padding has none.

    Raises:
        CheckpointError: It has none.
    """
    family = config.get("model_type")
    if family in _OFFSET_POSITIONS and config.get("pad_token_id", 0) is None:
        raise CheckpointError(f"The configuration has no pad_token_id, from which {family} numbers positions.")


def find_window_size(name: str, config: Mapping[str, Any], window: int | None, n_special: int) -> int:
    """Return how many pieces of a text go into a window, special pieces left out.

    Args:
        name: The checkpoint.
        config: Its configuration.
        window: Pieces of a window, special pieces included; None for as many as the model can number, at most 512.
        n_special: How many of them are special.

    Raises:
        SettingError: The window is longer than the model can number, or has no room for a piece of a text.
    """
    longest = find_max_positions(config)
    size = min(longest or _LONGEST_DEFAULT_WINDOW, _LONGEST_DEFAULT_WINDOW) if window is None else window
    if longest is not None and size > longest:
        raise SettingError(
            "window", size, f"at most {longest}, which is as many subword tokens as {name} has positions for"
        )
    if size <= n_special:
        raise SettingError("window", window, f"more than {n_special}, the number of special tokens")
    return size - n_special


@dataclass(frozen=True)
class Checkpoint:
    """The content of a Hugging Face directory, as far as we use it.

    Attributes:
        name: The directory or hub id that it was read from.
        config: The content of `config.json`, without the fields that name code.
        tokenizer: Its tokenizer.
        weights: Its tensors, under the names of the file.
    """

    name: str
    config: dict[str, Any]
    tokenizer: PieceTokenizer
    weights: Weights


def read_checkpoint(name: str) -> Checkpoint:
    """Read a checkpoint from a directory, an installed package or the hub.

    Raises:
        CheckpointNotFoundError: There is no checkpoint of this name.
        CheckpointError: Something in it cannot be used; the error says what.
    """
    folder = find_checkpoint_dir(name)
    config = read_config(folder)
    tokenizer = read_tokenizer_dir(folder)
    check_vocab_size(name, config, tokenizer)
    return Checkpoint(name, config, tokenizer, read_weights(folder))


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as transformers reads it: configuration, tokenizer, weights as safetensors.

    Args:
        checkpoint: The checkpoint.
        folder: A folder that is there.
    """
    srsly.write_json(folder / "config.json", checkpoint.config)
    (folder / "tokenizer.json").write_text(checkpoint.tokenizer.json, encoding="utf-8")
    srsly.write_json(folder / "tokenizer_config.json", _describe_tokenizer(checkpoint))
    write_weight_file(folder / "model.safetensors", checkpoint.weights)


def _describe_tokenizer(checkpoint: Checkpoint) -> dict[str, Any]:
    """Describe what transformers cannot tell from a `tokenizer.json`: the roles of special pieces."""
    described: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    types = ["token_type_ids"] if checkpoint.config.get("type_vocab_size", 0) > 1 else []
    described["model_input_names"] = ["input_ids", *types, "attention_mask"]
    before_words = json.loads(checkpoint.tokenizer.json).get("pre_tokenizer") or {}
    if "add_prefix_space" in before_words:
        # transformers 4 would take it to be false, whatever tokenizer.json says.
        described["add_prefix_space"] = before_words["add_prefix_space"]
    if (max_positions := find_max_positions(checkpoint.config)) is not None:
        described["model_max_length"] = max_positions
    return described | checkpoint.tokenizer.find_special_tokens(int(checkpoint.config.get("pad_token_id") or 0))


def read_config(folder: Path) -> dict[str, Any]:
    """Read and clean the `config.json` of a folder.

    Raises:
        CheckpointError: There is none, or it is not that of a model.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no config.json. Expected a folder written by save_pretrained().")
    with wrap_errors(f"{path} is not JSON"):
        config = srsly.read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{path} names no model_type. Expected the config.json of a transformers model.")
    with wrap_errors(f"{path} is no configuration"):
        return clean_config(config)


def read_tokenizer(name: str) -> PieceTokenizer:
    """Read only the tokenizer of a checkpoint.

    Raises:
        CheckpointNotFoundError: There is no checkpoint of this name.
        CheckpointError: The checkpoint has no tokenizer.
    """
    return read_tokenizer_dir(find_checkpoint_dir(name))


def check_vocab_size(name: str, config: Mapping[str, Any], tokenizer: PieceTokenizer) -> None:
    """Raise unless a model has a vector for every id of its tokenizer, and for padding.

    Args:
        name: The checkpoint.
        config: With `vocab_size`, if the model has a vocabulary, and `pad_token_id`.
        tokenizer: Its tokenizer.

    Raises:
        CheckpointError: There is an id without a vector.
    """
    n_known = config.get("vocab_size")
    if n_known is None:
        return
    if not isinstance(n_known, int):
        raise CheckpointError(f"The config.json of {name} has the vocab_size {n_known!r}. Expected a number.")
    if tokenizer.vocab_size > n_known:
        beyond = name_some(tokenizer.list_names_from(n_known))
        raise CheckpointError(
            f"The tokenizer of {name} has {tokenizer.vocab_size} subword tokens, its model only {n_known}: it has no "
            f"vector for {beyond}. Expected files that belong together."
        )
    pad_id = config.get("pad_token_id")
    pad_id = 0 if pad_id is None else pad_id
    if type(pad_id) is not int or not 0 <= pad_id < n_known:
        raise CheckpointError(f"The config.json of {name} has the pad_token_id {pad_id!r}. Expected one of {n_known}.")
