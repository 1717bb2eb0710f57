"""Modules whose weights are read right after: neither memory nor random numbers are spent on them before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Spec = dict[str, Any]


class EmptyWeights(TorchFunctionMode):
    """Within this context `torch.empty`, with which layers open their weights, gives tensors without memory.

    To fill these does nothing, and to look at them is an error. What is computed, such as a table of positions, is as
    ever. Other threads are not concerned.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, `torch.empty` on the device that has no memory."""
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def build_empty(build: Callable[[Spec], torch.nn.Module], spec: Spec) -> torch.nn.Module:
    """Build a module without weights; one that needs them while it is built is built with them.

    Args:
        build: Makes the module.
        spec: The description that it makes it from.

    Returns:
        The module. All of its state has to be given to it before it is used.
    """
    try:
        with EmptyWeights():
            module = build(spec)
    except RuntimeError:  # torch's own, when something without memory is looked at
        return build(spec)
    state = module.state_dict().keys()
    is_lost = any(buffer.is_meta and name not in state for name, buffer in module.named_buffers())
    return build(spec) if is_lost else module
