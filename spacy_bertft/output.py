"""Files that are either whole or not there."""

from __future__ import annotations

import os
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
