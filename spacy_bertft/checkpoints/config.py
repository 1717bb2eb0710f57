"""A `config.json` is data: what names code, or says how to run it, is taken out before transformers sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spacy_bertft.errors import CheckpointError, SettingError

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
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


def clean_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the fields that name code, at any depth.

    The keys of `label2id` are labels, not fields: all stay that stand for a number.

    Example:
        >>> clean_config({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation": "x/y"})
        {'model_type': 'bert'}
    """
    return {
        key: _keep_labels(value) if key == "label2id" else _clean(value)
        for key, value in config.items()
        if not key.startswith("_") and key not in CODE_FIELDS
    }


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return clean_config(value)
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _keep_labels(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {label: index for label, index in value.items() if isinstance(index, int)}
    return _clean(value)


def find_max_positions(config: Mapping[str, Any]) -> int | None:
    """Return how many pieces the model can number, special pieces included, or nothing where there is no limit."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return None
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions


def check_padding(config: Mapping[str, Any]) -> None:
    """Raise where a family that numbers its positions from the id of padding has none.

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
        raise SettingError("window", size, f"at most {longest}, which is as many pieces as {name} can number")
    if size <= n_special:
        raise SettingError("window", window, f"more than {n_special} special pieces")
    return size - n_special
