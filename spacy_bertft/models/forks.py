"""Child processes, as `nlp.pipe(n_process=2)` makes them: what they share, and how many threads they take."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from threading import local
from typing import Any
from weakref import WeakKeyDictionary

import torch

from .once import making

_home = os.getpid()
_adapted = local()  # `.pid`, the child that a thread has adapted to
_prepare: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def adapt_to_fork() -> None:
    """Make torch usable in a forked child; cheap when nothing was forked.

    The child inherits the bookkeeping of the parent's thread pool, but not its threads, and would wait for them
    forever. With one thread there is no pool to wait for; the parallelism lies in the processes.
    More threads would be safe only if the parent had never used its pool, and reading the weights uses it already.
    The number is kept by thread, so each thread of the child takes one, the one that was forked above all.
    """
    pid = os.getpid()
    if pid == _home or getattr(_adapted, "pid", None) == pid:
        return
    _adapted.pid = pid
    torch.set_num_threads(1)
    # The pool of `tokenizers` has the same trouble; it would fall back by itself, with a warning on every start.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def adapt_to_spawn() -> None:
    """Take one thread in a child of `multiprocessing` that was sent a model, unless `OMP_NUM_THREADS` says otherwise.

    With torch's own number, each of several children would take all cores.
    """
    if multiprocessing.parent_process() is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def share_with_forks(owner: Any, prepare: Callable[[Any], None]) -> None:
    """Ask for something to be made before this process forks, so that its children share the memory of it.

    Args:
        owner: What it belongs to; when that is gone, nothing is made.
        prepare: Makes it, given the owner.
    """
    with making:
        _prepare[owner] = prepare


def _prepare_all() -> None:
    if os.getpid() == _home:  # children of children would have to adapt first
        with making:
            for owner, prepare in list(_prepare.items()):
                prepare(owner)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_prepare_all)
