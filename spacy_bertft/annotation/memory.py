"""What keeps the memory of a long run flat, where the C library is glibc; elsewhere nothing is done.

The arrays of one batch are as long as its texts, so no two are alike. In the heap of glibc each of them leaves a hole,
into which the next one may not fit.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_M_MMAP_THRESHOLD = -3  # as malloc.h has it
_LARGE_BLOCK = 8 << 20  # bytes; the arrays of one pass of BERT are smaller, and always of about the same sizes


def keep_large_blocks_apart() -> None:
    """Let large blocks be taken from the system and given back one by one, as glibc does until it has seen some."""
    mallopt = _find_function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def give_back_memory() -> None:
    """Give back what is free in the heap."""
    malloc_trim = _find_function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def _find_function(name: str) -> Any:
    # Other C libraries of Linux have neither.
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
