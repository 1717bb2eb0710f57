"""Which layer a parameter belongs to, and from that: what is frozen, and how fast the rest learns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, Union

from spacy_bertft.errors import SettingError

FrozenLayers = Union[int, Literal["none", "embeddings", "all_but_last", "all"]]  # noqa: UP007 (read at run time)

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def find_depth(name: str, n_layers: int) -> int:
    """Return the depth of a parameter: 0 for the embeddings, `i + 1` for layer `i`, `n_layers + 1` above them.

    Example:
        >>> [find_depth(name, 12) for name in ("embeddings.word.weight", "layer.11.x.bias", "pooler.dense.bias")]
        [0, 12, 13]
    """
    match = _LAYER.search(name)
    if match:
        return int(match.group(1)) + 1
    return 0 if "embedding" in name else n_layers + 1


def has_layer(name: str) -> bool:
    """Tell whether a parameter belongs to a layer, not to the embeddings or to what is above."""
    return _LAYER.search(name) is not None


def count_layers(names: Iterable[str]) -> int:
    """Count the layers that parameter names speak of."""
    return 1 + max((int(match.group(1)) for name in names if (match := _LAYER.search(name))), default=-1)


def count_frozen(frozen_layers: FrozenLayers, n_layers: int) -> int:
    """Return below which depth parameters stay as they are.

    Args:
        frozen_layers: `"none"`, `"embeddings"`, a number `N` for the embeddings and the first `N` layers,
            `"all_but_last"` layer, or `"all"`.
        n_layers: Layers of the encoder.

    Raises:
        SettingError: The setting is none of these, or more layers than there are.
    """
    named = {"none": 0, "embeddings": 1, "all_but_last": n_layers, "all": n_layers + 2}
    if isinstance(frozen_layers, str) and frozen_layers in named:
        return named[frozen_layers]
    if isinstance(frozen_layers, str) and frozen_layers.isdecimal():
        frozen_layers = int(frozen_layers)  # a config value may reach us as it was typed
    if isinstance(frozen_layers, int) and 0 <= frozen_layers <= n_layers:
        return frozen_layers + 1 if frozen_layers else 0
    raise SettingError("frozen_layers", frozen_layers, f"one of {', '.join(named)}, or a number from 0 to {n_layers}")


def find_lr_scale(depth: int, n_layers: int, layer_lr_decay: float) -> float:
    """Return the factor on the learning rate at a depth: 1 for the top layer, times the decay for each layer below.

    Source: Howard & Ruder (2018), "discriminative fine-tuning".
    """
    return float(layer_lr_decay ** max(0, n_layers - depth))
