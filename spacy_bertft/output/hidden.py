"""Hidden temporary names, locks on them, removal of what dead processes left, and flushing to the disk."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ENOTSUP
from pathlib import Path
from uuid import uuid4

if sys.platform != "win32":
    import fcntl


@contextmanager
def make_beside(target: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """Make a temporary file or directory, locked while it is in use, and remove what is left of it."""
    with name_path(target), ExitStack() as stack:
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # what cannot be removed does no harm
            _clear(target)
        temporary = name_temporary(target)
        try:
            make(temporary)
            while _is_taken(temporary, stack):
                temporary = name_temporary(target)
                make(temporary)
            yield temporary
        finally:
            remove(temporary)


@contextmanager
def name_path(path: Path) -> Iterator[None]:
    """Let errors of the disk name a path if they name none, as for a full disk, or a temporary one.

    Raises:
        OSError: The same, with the path.
    """
    pattern = _match_hidden(path)
    try:
        yield
    except shutil.Error as error:  # of a copied folder: a list of what could not be copied, where to, and why
        _, target, reason = map(str, error.args[0][0])
        reason = reason if target in reason else f"{reason}: {target!r}"
        raise OSError(pattern.sub(lambda _: path.name, reason)) from error
    except OSError as error:
        if error.errno is None:
            raise
        name = error.filename if error.filename2 is None else error.filename2
        named = str(path) if name is None else pattern.sub(lambda _: path.name, str(name))
        raise OSError(error.errno, error.strerror, named) from error


def name_temporary(target: Path) -> Path:
    """Return a unique temporary path next to another one."""
    return target.with_name(f".{target.name}.{uuid4().hex}.tmp")


def settle(old: Path, target: Path) -> None:
    """Remove a directory that was replaced, or put it back if nothing replaced it."""
    if target.exists():
        remove(old)
    elif old.exists():
        old.rename(target)


def remove(path: Path) -> None:
    """Remove a file, or a directory with its content, as far as possible."""
    try:
        _try_to_remove(path)
    finally:
        _try_to_remove(path)  # a signal may have broken the first try


def _try_to_remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.exists():
            path.unlink()


def _is_taken(temporary: Path, stack: ExitStack) -> bool:
    """Lock a new path, and return whether another process was faster and took it for left behind."""
    try:
        _lock(temporary, stack)
    except (BlockingIOError, FileNotFoundError):
        return True
    except OSError:  # no locks here, so nobody else clears anything either
        return False
    return False


def _clear(target: Path) -> None:
    """Remove what killed processes have left next to a path."""
    pattern = _match_hidden(target)
    for path in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        with suppress(OSError), ExitStack() as stack:
            _lock(path, stack)
            if path.suffix == ".old":
                settle(path, target)
            else:
                remove(path)


def _lock(path: Path, stack: ExitStack) -> None:
    """Lock a file or directory until a stack is left, or this process ends.

    Raises:
        BlockingIOError: It is locked.
        FileNotFoundError: It no longer exists.
        OSError: Locks are not supported here.
    """
    if sys.platform == "win32":
        raise OSError(ENOTSUP, os.strerror(ENOTSUP), str(path))
    descriptor = os.open(path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path.stat()  # it may have been removed before it was locked


def _match_hidden(target: Path) -> re.Pattern[str]:
    return re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}\.(tmp|old)")


def flush(path: Path) -> None:
    """Wait until a file, or the content of a directory, is on the disk, so that a power cut does not leave it empty."""
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
    """Wait until the names in a directory are on the disk, if the system supports that."""
    with suppress(OSError), ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.fsync(descriptor)
