"""What is made when it is first needed, however many threads need it at once.

Child processes, as `nlp.pipe(n_process=2)` makes them: what they share, and how many threads they take.

Forward passes side by side: on a CPU, two of them with a thread each are faster than one after the other with two.

Layers of a small encoder are so short that threads which share one of them mostly wait for each other.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import process
from threading import Barrier, RLock, local
from typing import Any, TypeVar
from weakref import WeakSet

from thinc.compat import torch

Made = TypeVar("Made")
Item = TypeVar("Item")

# One for the process: to trace a module, or to start threads, changes settings that torch has for the process.
build_lock = RLock()


def make_once(made: MutableMapping[Any, Made], key: Any, make: Callable[[], Made]) -> Made:
    """Return what was made for a key; the first thread that asks makes it, and others wait for that.

    Args:
        made: What has been made, by key; nothing is taken out of it.
        key: The key.
        make: Makes it.
    """
    if key not in made:
        with build_lock:
            if key not in made:  # another thread may have made it meanwhile
                made[key] = make()
    return made[key]


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_home = os.getpid()
_share = 1  # of the threads of a process, how many each child that it forks may take
# Of a thread: the child that it has adapted to, `.pid`, `.n_threads` of its passes, and how many run side by side.
_thread = local()
_owners: WeakSet[Any] = WeakSet()  # of what children share
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def adapt_to_fork() -> None:
    """Make torch and OpenVINO usable in a forked child; cheap when nothing was forked.

    The child inherits the bookkeeping of the parent's thread pools, but not their threads: torch would wait for them
    forever, and OpenVINO would compute alone. So each pass takes one thread. Threads that the child starts itself can
    be used: as many passes run side by side as its share of the parent's threads, see `find_share`.
    The number is kept by thread, so each thread of the child takes one, the one that was forked above all.
    """
    pid = os.getpid()
    if pid == getattr(_thread, "pid", _home):
        return
    _thread.pid, _thread.n_workers = pid, _share
    set_threads(1)
    # The pool of `tokenizers` has the same trouble; it would fall back by itself, with a warning on every start.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def take_share(n_threads: int) -> None:
    """Take a share of the threads of the parent in a child, unless it is a spawned one and `OMP_NUM_THREADS` is set.

    With torch's own number, each of several children would take all cores.

    Args:
        n_threads: The share.
    """
    global _share
    _share = n_threads  # of a forked child, see `adapt_to_fork`
    # A child has its name before it is sent anything, and knows its parent only afterwards.
    is_spawned = os.getpid() == _home and multiprocessing.current_process().name != "MainProcess"
    if is_spawned and "OMP_NUM_THREADS" not in os.environ:
        set_threads(n_threads)


def find_share() -> int:
    """Find how many threads a child that is started now may take, so that all children take no more than this process.

    spaCy makes all processes of `nlp.pipe` before it starts the first one. How many others will come is not known:
    they take one thread each.
    """
    made = list(getattr(process, "_dangling", ()))  # a process that has been started has no target any more
    n_waiting = sum(getattr(getattr(each, "_target", None), "__module__", None) == "spacy.language" for each in made)
    return max(1, count_threads() // (n_waiting + len(multiprocessing.active_children()))) if n_waiting else 1


def share_with_forks(owner: Any) -> None:
    """Call `owner.prepare_for_forks` before this process forks, so that children share the memory of what that makes.

    Args:
        owner: What has the method; once it is gone, nothing is called.
    """
    with build_lock:
        _owners.add(owner)


def _before_fork() -> None:
    global _share
    # A fork waits for what is being made; the child would wait forever, for a thread that it does not have.
    build_lock.acquire()
    adapt_to_fork()  # this may be a child itself
    _share = find_share()
    for owner in list(_owners):
        owner.prepare_for_forks()


def _start_child() -> None:
    gc.freeze()  # to destroy a graph that the parent has dropped, OpenVINO would wait for threads of the parent
    build_lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=build_lock.release, after_in_child=_start_child)


def count_threads() -> int:
    """Return how many threads a pass of this thread may take: those of torch, which has the final say where it is."""
    if torch is None:
        return getattr(_thread, "n_threads", None) or int(os.environ.get("OMP_NUM_THREADS") or count_cores())
    if not hasattr(_thread, "n_threads"):
        with build_lock:  # not while a pool is started, which for a moment sets the number of threads to come
            _thread.n_threads = torch.get_num_threads()
    return torch.get_num_threads()


def count_workers() -> int:
    """Return how many passes of this thread may run side by side."""
    return getattr(_thread, "n_workers", None) or count_threads()


def set_threads(n_threads: int) -> None:
    """Set how many threads a pass of this thread may take."""
    _thread.n_threads = n_threads
    if torch is not None:
        torch.set_num_threads(n_threads)


def run_side_by_side(run: Callable[[Item], Made], items: Sequence[Item], n_workers: int) -> list[Made]:
    """Run a function on every item, each with one thread and without gradients, and return the results in order.

    Args:
        run: Predicts.
        items: What it is called with.
        n_workers: How many run at the same time; fewer items are run one by one, with all threads on each.
    """
    if n_workers < 2 or len(items) < n_workers:
        return list(map(run, items))
    # The threads of another process would not be there any more.
    pool = make_once(_pools, (os.getpid(), n_workers), partial(_start_pool, n_workers))
    return list(pool.map(run, items))


def _start_pool(n_workers: int) -> ThreadPoolExecutor:
    barrier, n_threads = Barrier(n_workers), count_threads()

    def start(_: int) -> None:
        if torch is not None:
            torch.get_num_threads()  # a thread takes the number of the process when it first needs one, so before
            torch.set_grad_enabled(False)
        set_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="spacy-bertft")
    list(pool.map(start, range(n_workers)))
    # The number is kept by thread, but the last one set is also that of threads to come.
    set_threads(n_threads)
    return pool
