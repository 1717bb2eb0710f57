"""Files and folders that are either whole or not there.

What is written goes under a hidden name beside its place (`.NAME.….tmp`), is flushed to the disk, and only then takes
its place. So what stood there before stays whole until what is new is whole:

- A file is replaced in one step, on every system.
- A folder is exchanged in one step by Linux and macOS, where the file system can do that: ext4, XFS, Btrfs, tmpfs and
  APFS can. Elsewhere (Windows, most network disks) it takes two renames; a process that is killed between them leaves
  the old folder as `.NAME.….old`, and the next one that writes there puts it back first.
- Several files are several steps. After an error those that were replaced are put back; a kill between two of these
  renames leaves files of both, each of them whole.

An error, or an exception of any other kind, removes what is unfinished. A kill cannot; the next process that writes to
the same place does, except on Windows. It knows by a lock that nobody is at work on it any more.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path
from uuid import uuid4

if sys.platform != "win32":
    import fcntl

_CANNOT = (ENOSYS, EINVAL, ENOTSUP)  # what a system or a file system answers to what it does not know


@contextmanager
def replace_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary file to write to, and move it to `path` at the end.

    After an error it is removed, and what stood at `path` before stands there still. What is no file, such as
    `/dev/stdout`, is written to directly.

    Args:
        path: Where the file is to stand; the folder is made if it does not exist.

    Yields:
        Where to write it: in the same folder, since a file cannot be moved between disks in one step.

    Raises:
        OSError: It cannot be written; the error names `path`.
    """
    with replace_all_when_done([path]) as [temporary_path]:
        yield temporary_path


@contextmanager
def replace_all_when_done(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give temporary files to write to, and move all of them to their places at the end, or none.

    Args:
        paths: Where the files are to stand; as for `replace_when_done`.

    Yields:
        Where to write them, in the same order.

    Raises:
        OSError: One of them cannot be written; the error names its path.
    """
    with ExitStack() as stack:
        temporary_paths = [stack.enter_context(_make_file(path)) for path in paths]
        yield temporary_paths
        moves = [(new, path.resolve()) for new, path in zip(temporary_paths, paths, strict=True) if new != path]
        for new, _ in moves:
            _flush(new)
        with ExitStack() as undo:
            for new, target in moves:
                if (new, target) != moves[-1]:  # after the last one nothing can go wrong
                    undo.callback(_keep(target, stack))
                new.replace(target)
            undo.pop_all()
        for folder in {target.parent for _, target in moves}:
            _flush_folder(folder)


@contextmanager
def replace_folder_when_done(folder: Path) -> Iterator[Path]:
    """Give a new, empty folder to write to, and move it to `folder` at the end, in the place of what stood there.

    After an error it is removed, and what stood there before stands there still.

    Args:
        folder: Where it is to stand; the folder above it is made if it does not exist.

    Yields:
        The folder to write to, on the same disk.

    Raises:
        OSError: It cannot be written; the error names `folder`.
    """
    with make_folder_beside(folder) as temporary_dir:
        yield temporary_dir
        replace_folder(folder, temporary_dir)


@contextmanager
def update_folder_when_done(folder: Path) -> Iterator[Path]:
    """Give a new, empty folder to write to; at the end, what is in it takes its place in `folder`.

    Where nothing else stands in `folder`, this is one step. Otherwise the rest stays, and the files are replaced one
    by one.

    Args:
        folder: Where it is to stand; the folder above it is made if it does not exist.

    Yields:
        The folder to write to, on the same disk.

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
    """Make a folder for what is on its way to `folder`; it is removed at the end, with what is in it by then.

    Args:
        folder: A folder, which need not exist.

    Yields:
        The temporary folder, on the same disk.

    Raises:
        OSError: It cannot be written; the error names `folder`.
    """
    target = folder.resolve()
    with _make_beside(target, Path.mkdir, _remove_folder) as temporary_dir:
        yield temporary_dir


def replace_folder(folder: Path, new: Path) -> None:
    """Move a new folder into the place of one that may stand there, and remove that.

    Args:
        folder: Where it is to stand.
        new: The new one, on the same disk. It is not there any more afterwards.

    Raises:
        OSError: It cannot be moved; what stood there before stands there still.
    """
    target = folder.resolve()
    _flush(new)
    if not target.exists():
        new.rename(target)
    elif exchange(new, target):
        _remove_folder(new)
    else:
        _replace_in_two_steps(target, new)
    _flush_folder(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders, or two files, in one step.

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


def _replace_in_two_steps(target: Path, new: Path) -> None:
    old = target.with_name(f".{target.name}.{uuid4().hex}.old")
    try:
        target.rename(old)
        new.rename(target)
    finally:
        _settle(old, target)


def _settle(old: Path, target: Path) -> None:
    """Remove a folder that was replaced, or put it back where nothing stands in its place."""
    if not old.exists():
        return
    if target.exists():
        _remove_folder(old)
    else:
        old.rename(target)


def _keep(target: Path, stack: ExitStack) -> Callable[[], None]:
    """Keep a file, until a stack is left, and return what puts it back."""
    if not target.exists():
        return lambda: target.unlink(missing_ok=True)
    kept = _name_temporary(target)
    stack.callback(_remove_file, kept)
    try:
        os.link(target, kept)
    except OSError:  # a file system without links
        shutil.copy2(target, kept)

    def put_back() -> None:
        kept.replace(target)

    return put_back


@contextmanager
def name_path(path: Path) -> Iterator[None]:
    """Let errors of the disk name a path: where they name none, as that of a full disk does, or a temporary one.

    Raises:
        OSError: The same, with the path.
    """
    pattern = _match_hidden(path)
    try:
        yield
    except shutil.Error as error:  # of a copied folder: a list of what could not be copied, and why
        reason = str(error.args[0][0][2])
        raise OSError(pattern.sub(lambda _: path.name, reason)) from error
    except OSError as error:
        if error.errno is None:
            raise
        name = error.filename if error.filename2 is None else error.filename2
        named = str(path) if name is None else pattern.sub(lambda _: path.name, str(name))
        raise OSError(error.errno, error.strerror, named) from error


@contextmanager
def _make_file(path: Path) -> Iterator[Path]:
    if path.exists() and not path.is_file():
        yield path
        return
    with _make_beside(path.resolve(), _create, _remove_file) as temporary_path:
        yield temporary_path


@contextmanager
def _make_beside(target: Path, make: Callable[[Path], object], remove: Callable[[Path], object]) -> Iterator[Path]:
    """Make a temporary file or folder, locked as long as it is in use, and remove what is left of it."""
    with name_path(target), ExitStack() as stack:
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # whatever cannot be removed is in nobody's way
            _clear(target)
        temporary = _name_temporary(target)
        try:
            make(temporary)
            while _is_taken(temporary, stack):
                temporary = _name_temporary(target)
                make(temporary)
            yield temporary
        finally:
            remove(temporary)


def _is_taken(temporary: Path, stack: ExitStack) -> bool:
    """Lock what was just made, and return whether another process was faster and took it for left behind."""
    try:
        _lock(temporary, stack)
    except (BlockingIOError, FileNotFoundError):
        return True
    except OSError:  # no locks here, so nobody else clears anything either
        return False
    return False


def _clear(target: Path) -> None:
    """Remove what processes that are dead now have left beside a path."""
    pattern = _match_hidden(target)
    for path in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        with suppress(OSError), ExitStack() as stack:
            _lock(path, stack)
            if path.suffix == ".old":
                _settle(path, target)
            elif path.is_dir():
                _remove_folder(path)
            else:
                _remove_file(path)


def _lock(path: Path, stack: ExitStack) -> None:
    """Lock a file or folder until a stack is left, or this process is dead.

    Raises:
        BlockingIOError: It is locked.
        FileNotFoundError: It is not there any more.
        OSError: There are no locks here.
    """
    if sys.platform == "win32":
        raise OSError(ENOTSUP, os.strerror(ENOTSUP), str(path))
    descriptor = os.open(path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path.stat()  # it may have been removed before it was locked


def _name_temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid4().hex}.tmp")


def _match_hidden(target: Path) -> re.Pattern[str]:
    return re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}\.(tmp|old)")


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _remove_file(path: Path) -> None:
    with suppress(OSError):
        try:
            path.unlink(missing_ok=True)
        finally:
            path.unlink(missing_ok=True)  # a signal may have broken the first try


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if folder.exists():  # the same
            shutil.rmtree(folder, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file, or all that is in a folder, is on the disk, so that a power cut does not leave it empty."""
    if path.is_dir():
        for each in path.iterdir():
            _flush(each)
        _flush_folder(path)
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError), ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.fsync(descriptor)
