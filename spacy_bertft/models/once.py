"""What is made when it is first needed, however many threads need it at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, MutableMapping
from threading import RLock
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")

# One for the process: to make a graph of ONNX, or to start threads, changes settings that torch has for the process.
making = RLock()


def make_once(made: MutableMapping[Key, Made], key: Key, make: Callable[[], Made]) -> Made:
    """Return what was made for a key; the first thread that asks makes it, and others wait for that.

    Args:
        made: What has been made, by key.
        key: The key.
        make: Makes it.
    """
    try:
        return made[key]
    except KeyError:
        pass
    with making:
        if key not in made:
            made[key] = make()
        return made[key]


if hasattr(os, "register_at_fork"):  # not on Windows
    # A fork waits for what is being made; the child would wait forever, for a thread that it does not have.
    os.register_at_fork(before=making.acquire, after_in_parent=making.release, after_in_child=making.release)
