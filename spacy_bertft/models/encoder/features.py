"""Which hidden states make the features that a head sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from spacy_bertft.errors import SettingError

Layers = Literal["last", "second_to_last", "sum_last_four", "concat_last_four", "scalar_mix"]
LAYERS = ("last", "second_to_last", "sum_last_four", "concat_last_four", "scalar_mix")

# The weights of a mix go through a softmax: at the rate of a weight matrix they would hardly move.
MIX_LR_SCALE = 100.0


def check_layers(layers: str) -> None:
    """Raise unless the setting is known.

    Raises:
        SettingError: It is not.
    """
    if layers not in LAYERS:
        raise SettingError("layers", layers, f"one of {', '.join(LAYERS)}")


def count_features(layers: Layers, width: int, n_layers: int) -> int:
    """Count the features that `select_states` makes of hidden states of a width.

    Raises:
        SettingError: The encoder has too few layers.
    """
    if layers in ("sum_last_four", "concat_last_four") and n_layers < 4:
        raise SettingError("layers", layers, f"a choice that an encoder of {n_layers} layers has")
    return width * {"concat_last_four": 4, "scalar_mix": n_layers + 1}.get(layers, 1)


def count_read(layers: Layers, n_layers: int) -> int:
    """Count the layers, bottom up, that features depend on."""
    return n_layers - 1 if layers == "second_to_last" else n_layers


def select_states(states: Sequence[torch.Tensor], layers: Layers) -> torch.Tensor:
    """Make features of the hidden states of all layers.

    Args:
        states: `(W, P, H)` for the embeddings and each layer, bottom up.
        layers: The last or the last but one; the sum or the concatenation of the last four; for a scalar mix all of
            them side by side, since the mix itself comes after pooling.

    Returns:
        `(W, P, F)`, with `F` as `count_features` says.

    Source: Devlin et al. (2019), table 7.
    """
    if layers == "second_to_last":
        return states[-2]
    if layers == "sum_last_four":
        return torch.stack(tuple(states[-4:])).sum(dim=0)
    if layers == "concat_last_four":
        return torch.cat(tuple(states[-4:]), dim=-1)
    return torch.cat(tuple(states), dim=-1) if layers == "scalar_mix" else states[-1]


class ScalarMix(torch.nn.Module):
    """A learned weighted mean of all layers, times a learned scale.

    Args:
        n_states: How many layers are mixed, the embeddings among them.

    Source: Peters et al. (2018), eq. 1.
    """

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(n_states))
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Mix, `(R, N·H)` → `(R, H)`."""
        n_states = len(self.weights)
        by_layer = vectors.view(len(vectors), n_states, vectors.shape[1] // n_states)  # there may be no rows
        mixed: torch.Tensor = self.scale * torch.einsum("n,rnh->rh", self.weights.softmax(dim=0), by_layer)
        return mixed


def build_mix(spec: dict[str, Any]) -> ScalarMix:
    """Build a mix from its description, `n_states`."""
    return ScalarMix(spec["n_states"])
