"""What the heads over an encoder share: their settings, and how their layers start."""

from __future__ import annotations

import torch

from ..errors import SettingError


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
