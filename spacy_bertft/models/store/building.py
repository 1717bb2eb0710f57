"""Modules whose weights are read right after: neither memory nor random numbers are spent on them before.

A description may be damaged or hostile: the model built from it is no larger than the weights that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from spacy_bertft.checkpoints import Weights
from spacy_bertft.errors import CheckpointError
from spacy_bertft.models.store.graph import Spec


class EmptyWeights(TorchFunctionMode):
    """Within this context `torch.empty`, with which layers open their weights, gives tensors without memory.

    To fill these does nothing, and to look at them is an error. What is computed, such as a table of positions, is as
    ever. Other threads are not concerned.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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


_MAKERS = frozenset(
    {
        *(torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint),
        *(torch.randn, torch.zeros),
    }
)
# Parts that a checkpoint may lack, such as a pooler, and tables of positions.
_FACTOR = 8
_LEAST = 2**24


class SizeLimit(TorchFunctionMode):
    """Within this context new tensors hold no more numbers, all together, than weights may explain.

    Args:
        weights: The weights that are there.
        source: Where they come from, for the error.

    Raises:
        CheckpointError: They would hold more. The memory for them has not been taken then.
    """

    def __init__(self, weights: Weights, source: str) -> None:
        super().__init__()
        self._source = source
        self._n_stored = sum(tensor.numel() for tensor in weights.values())
        self._n_left = max(_LEAST, _FACTOR * self._n_stored)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, one that makes a tensor only if that is not too large."""
        given = dict(kwargs or {})
        if func in _MAKERS:
            size = {name: value for name, value in given.items() if name not in ("generator", "out", "pin_memory")}
            self._n_left -= func(*args, **{**size, "device": "meta"}).numel()
            if self._n_left < 0:
                raise CheckpointError(
                    f"The configuration in {self._source} describes a model far larger than its weights, which are "
                    f"{self._n_stored:,} numbers. Expected the configuration that belongs to them."
                )
        return func(*args, **given)
