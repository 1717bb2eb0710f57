"""Forward passes side by side: on a CPU, two of them with a thread each are faster than one after the other with two.

Layers of a small encoder are so short that threads which share one of them mostly wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, local
from typing import TypeVar

import torch

from .once import make_once, making

Item = TypeVar("Item")
Result = TypeVar("Result")

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_counted = local()  # `.has_number` once a thread has taken its number of threads of torch


def count_workers(device: torch.device) -> int:
    """Return how many passes may run side by side: the threads of torch, on a CPU, where nothing is learned."""
    return 1 if device.type != "cpu" or torch.is_grad_enabled() else _count_threads()


def run_side_by_side(run: Callable[[Item], Result], items: Sequence[Item], n_workers: int) -> list[Result]:
    """Run a function on every item, each on one thread of torch, and return the results in order.

    Args:
        run: Predicts.
        items: What it is called with.
        n_workers: As counted by `count_workers`; with fewer items they are run one by one, with all threads on each.
    """
    if n_workers == 1 or len(items) < n_workers:
        return [run(item) for item in items]
    mode = torch.is_inference_mode_enabled()

    def run_in_mode(item: Item) -> Result:
        with torch.inference_mode(mode), torch.no_grad():  # in this order: inference_mode(False) turns gradients on
            return run(item)

    # The threads of another process would not be there any more.
    pool = make_once(_pools, (os.getpid(), n_workers), partial(_start_pool, n_workers))
    return list(pool.map(run_in_mode, items))


def _count_threads() -> int:
    """Return how many threads of torch the calling thread has."""
    if not hasattr(_counted, "has_number"):
        with making:  # not while a pool is started, which for a moment sets the number of threads to come
            torch.get_num_threads()
        _counted.has_number = True
    return torch.get_num_threads()


def _start_pool(n_workers: int) -> ThreadPoolExecutor:
    barrier = Barrier(n_workers)

    def start(_: int) -> None:
        torch.get_num_threads()  # a thread takes the number of the process when it first needs one, so before it is set
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="spacy-bertft")
    list(pool.map(start, range(n_workers)))
    # The number is kept by thread, but the last one set is also that of threads to come.
    torch.set_num_threads(n_workers)
    return pool
