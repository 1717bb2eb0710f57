"""A child process that was forked after torch has run."""

from __future__ import annotations

import os

import torch

_home = os.getpid()


def adapt_to_fork() -> None:
    """Make torch usable in a forked child, as `nlp.pipe(n_process=2)` makes them; cheap when nothing was forked.

    The child inherits the bookkeeping of the parent's thread pool, but not its threads, and would wait for them
    forever. With one thread there is no pool to wait for; the parallelism lies in the processes.
    More threads would be safe only if the parent had never used its pool, and reading the weights uses it already.
    """
    global _home
    if os.getpid() == _home:
        return
    _home = os.getpid()
    torch.set_num_threads(1)
    # The pool of `tokenizers` has the same trouble; it would fall back by itself, with a warning on every start.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
