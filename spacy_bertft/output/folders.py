"""Atomic replacement of directories, by exchanging two names in one step where the system can."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path
from uuid import uuid4

from spacy_bertft.output.files import replace_all_when_done
from spacy_bertft.output.hidden import flush, flush_folder, make_beside, remove, settle


@contextmanager
def replace_folder_when_done(folder: Path) -> Iterator[Path]:
    """Yield a new, empty directory to write to, and replace `folder` by it at the end.

    After an error it is removed, and `folder` is unchanged.

    Args:
        folder: The directory to replace; its parent is made if it does not exist.

    Yields:
        The directory to write to, on the same disk.

    Raises:
        OSError: It cannot be written; the error names `folder`.
    """
    with make_folder_beside(folder) as temporary_dir:
        yield temporary_dir
        replace_folder(folder, temporary_dir)


@contextmanager
def update_folder_when_done(folder: Path) -> Iterator[Path]:
    """Yield a new, empty directory to write to; at the end, its files replace those in `folder`.

    If `folder` has no other files, this is one step. Otherwise the others stay, and files are replaced one by one.

    Args:
        folder: The directory to replace; its parent is made if it does not exist.

    Yields:
        The directory to write to, on the same disk.

    Raises:
        OSError: It cannot be written; the error names what.
    """
    with make_folder_beside(folder) as temporary_dir:
        yield temporary_dir
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if present <= {path.name for path in temporary_dir.iterdir()}:
            replace_folder(folder, temporary_dir)
            return
        files = [path for path in sorted(temporary_dir.rglob("*")) if path.is_file()]
        with replace_all_when_done([folder / path.relative_to(temporary_dir) for path in files]) as places:
            for path, place in zip(files, places, strict=True):
                path.replace(place)


@contextmanager
def make_folder_beside(folder: Path) -> Iterator[Path]:
    """Make a temporary directory next to `folder`; it is removed at the end, with everything left in it.

    Args:
        folder: A directory, which need not exist.

    Yields:
        The temporary directory, on the same disk.

    Raises:
        OSError: It cannot be written; the error names `folder`.
    """
    with make_beside(folder.resolve(), Path.mkdir) as temporary_dir:
        yield temporary_dir


def replace_folder(folder: Path, new: Path) -> None:
    """Replace a directory, if there is one, by a new one.

    Args:
        folder: The directory to replace.
        new: The new one, on the same disk, which is moved.

    Raises:
        OSError: It cannot be moved; `folder` is unchanged.
    """
    target = folder.resolve()
    flush(new)
    if target.exists() or not _move(new, target):
        if exchange(new, target):
            remove(new)
        else:
            old = target.with_name(f".{target.name}.{uuid4().hex}.old")
            try:
                target.rename(old)
                new.rename(target)
            finally:
                settle(old, target)
    flush_folder(target.parent)


def _move(new: Path, target: Path) -> bool:
    """Move a directory to a free path, and return whether it was free: another thread may be faster."""
    try:
        new.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


_CANNOT = (ENOSYS, EINVAL, ENOTSUP)  # errors of a system or a file system that does not support it


def exchange(one: Path, other: Path) -> bool:
    """Exchange two directories, or two files, in one step, which Python's library does not offer.

    Returns:
        Whether that was possible; on some systems and file systems it is not.

    Raises:
        OSError: It is possible, but was refused.
    """
    import ctypes

    # AT_FDCWD and RENAME_EXCHANGE of Linux; RENAME_SWAP of macOS.
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        name, arguments = "renameat2", (-100, paths[0], -100, paths[1], ctypes.c_uint(2))
    elif sys.platform == "darwin":
        name, arguments = "renamex_np", (*paths, ctypes.c_uint(2))
    else:
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if rename is None:  # an old system
        return False
    if rename(*arguments) == 0:
        return True
    error = ctypes.get_errno()
    if error in _CANNOT:
        return False
    raise OSError(error, os.strerror(error), str(other))
