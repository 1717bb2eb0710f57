"""What is written reaches the disk, so that a power cut does not leave it empty."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path


def flush(path: Path) -> None:
    """Wait until a file, or all that is in a folder, is on the disk, so that a power cut does not leave it empty."""
    if path.is_dir():
        for each in path.iterdir():
            flush(each)
        flush_folder(path)
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError), ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.fsync(descriptor)
