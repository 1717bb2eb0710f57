"""Files and folders that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` at the end.

    After an error the temporary file is removed, and what stood at `path` before stands there still. The folder is
    made if it does not exist.

    Args:
        path: Where the file is to stand.

    Yields:
        Where to write it: in the same folder, since a file cannot be moved between disks in one step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary_path
        temporary_path.replace(path)
    finally:
        temporary_path.unlink(missing_ok=True)


@contextmanager
def replace_folder_when_done(folder: Path) -> Iterator[Path]:
    """Give a new, empty folder to write to, and move it to `folder` at the end, in the place of what stood there.

    After an error it is removed, and what stood there before stands there still.

    Args:
        folder: Where it is to stand; the folder above it is made if it does not exist.

    Yields:
        The folder to write to, on the same disk.
    """
    target = folder.resolve()
    temporary_dir = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary_dir.mkdir(parents=True)
    try:
        yield temporary_dir
        if target.exists():
            shutil.rmtree(target)
        temporary_dir.replace(target)
    finally:
        shutil.rmtree(temporary_dir, ignore_errors=True)
