"""One machine: this process, or several that it starts."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from threading import Thread

from spacy_bertft.annotation.chunks import Chunk
from spacy_bertft.annotation.ledger import ShardReport
from spacy_bertft.annotation.worker import Annotator
from spacy_bertft.errors import WorkerError
from spacy_bertft.models.runtime.processes import count_threads, take_share

_annotator: Annotator | None = None  # of a child


def run_local(annotator: Annotator, chunks: Iterable[Chunk], n_process: int) -> Generator[ShardReport]:
    """Annotate chunks.

    Args:
        annotator: Annotates, here or in the children.
        chunks: The chunks; they are read as they are needed.
        n_process: Number of processes; one means this process alone.

    Raises:
        WorkerError: A child was killed.
    """
    if n_process == 1:
        yield from map(annotator, chunks)
        return
    # A forked child shares the weights of this process, but cannot use a GPU that this process has used.
    method = None if annotator.worker.find_gpu() is None else "spawn"
    context = multiprocessing.get_context(method)
    given = annotator, max(1, count_threads() // n_process)
    with ProcessPoolExecutor(n_process, context, initializer=_adopt, initargs=given) as pool:
        try:
            yield from _run_in_pool(pool, iter(chunks), 2 * n_process)
        except BrokenProcessPool as error:
            raise WorkerError("it was killed, perhaps for want of memory") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run_in_pool(pool: ProcessPoolExecutor, chunks: Iterator[Chunk], n_ahead: int) -> Generator[ShardReport]:
    """Keep some chunks ahead of the children, and no more, so that memory is bounded."""
    running: set[Future[ShardReport]] = set()
    while True:
        running |= {pool.submit(_annotate, chunk) for chunk in islice(chunks, n_ahead - len(running))}
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _adopt(annotator: Annotator, n_threads: int) -> None:
    global _annotator
    _annotator = annotator
    take_share(n_threads)
    # Ctrl+C goes to the children too. It ends them without a word; what they were writing has no name yet.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this child when its parent is gone: a parent that is killed does not signal it, and it would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _annotate(chunk: Chunk) -> ShardReport:
    assert _annotator is not None
    return _annotator(chunk)
