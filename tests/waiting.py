"""Wait for events. How long something takes says how busy the machine is, and nothing about the code."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

PATIENCE = 900  # seconds after which something hangs, however busy the machine is


def wait_until(condition: Callable[[], object], pause: float = 0.005) -> None:
    """Wait until something holds; where it never does, the test fails."""
    start = monotonic()
    while not condition():
        assert monotonic() - start < PATIENCE, "this took too long"
        sleep(pause)
