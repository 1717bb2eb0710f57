"""Where the generators of random numbers stand, as plain data."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from thinc.compat import torch

RandomState = dict[str, Any]  # what JSON can hold


def get_random_state() -> RandomState:
    """Tell where Python's and NumPy's random numbers stand."""
    name, keys, *rest = np.random.get_state()
    return {"python": list(random.getstate()), "numpy": [name, np.asarray(keys).tolist(), *rest]}


def set_random_state(state: RandomState) -> None:
    """Let Python's and NumPy's random numbers go on from where they stood."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))


@contextmanager
def keep_random_state() -> Iterator[None]:
    """Put Python's and NumPy's random numbers back afterwards to where they stand now."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)


def get_torch_states() -> dict[str, torch.Tensor]:
    """Tell where torch's random numbers stand, by device."""
    by_gpu = torch.cuda.get_rng_state_all()
    return {"cpu": torch.get_rng_state()} | {f"cuda:{index}": state for index, state in enumerate(by_gpu)}


def set_torch_states(states: dict[str, torch.Tensor]) -> None:
    """Let torch's random numbers go on from where they stood; a device that is no longer there is left out."""
    torch.set_rng_state(states["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda:{index}" in states:
            torch.cuda.set_rng_state(states[f"cuda:{index}"], index)
