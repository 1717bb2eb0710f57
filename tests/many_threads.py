"""A function run by many threads at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Result = TypeVar("Result")

N_THREADS = 8


def run_at_once(run: Callable[[int], Result], n_threads: int = N_THREADS) -> list[Result]:
    """Run a function in threads that start together, each with its number; return the results in order."""
    barrier = Barrier(n_threads)

    def start(number: int) -> Result:
        barrier.wait()
        return run(number)

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(start, range(n_threads)))
