"""Atomic replacement of one file, or of several together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from spacy_bertft.output.hidden import flush, flush_folder, make_beside, name_temporary, remove


@contextmanager
def replace_when_done(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write to, and move it to `path` at the end.

    After an error it is removed, and `path` is unchanged. What is not a regular file, such as `/dev/stdout`, is
    written to directly.

    Args:
        path: The file to replace; its directory is made if it does not exist.

    Yields:
        Where to write it: in the same directory, since a file cannot be moved between disks in one step.

    Raises:
        OSError: It cannot be written; the error names `path`.
    """
    with replace_all_when_done([path]) as [temporary_path]:
        yield temporary_path


@contextmanager
def replace_all_when_done(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield temporary files to write to, and move all of them to their paths at the end, or none.

    Args:
        paths: The files to replace, as for `replace_when_done`.

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
            flush(new)
        with ExitStack() as undo:
            for new, target in moves:
                if (new, target) != moves[-1]:  # after the last one nothing can go wrong
                    undo.callback(_keep(target, stack))
                new.replace(target)
            undo.pop_all()
        for folder in {target.parent for _, target in moves}:
            flush_folder(folder)


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Give a file a second name, or copy it where that is impossible: on some file systems, or to another disk.

    Raises:
        OSError: It cannot be copied either.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def _make_file(path: Path) -> Iterator[Path]:
    if path.exists() and not path.is_file():
        yield path
        return
    with make_beside(path.resolve(), partial(Path.touch, exist_ok=False)) as temporary_path:
        yield temporary_path


def _keep(target: Path, stack: ExitStack) -> Callable[[], object]:
    """Keep a copy of a file until a stack is left, and return a function that restores it."""
    if not target.exists():
        return lambda: target.unlink(missing_ok=True)
    kept = name_temporary(target)
    stack.callback(remove, kept)
    link_or_copy(target, kept)
    return lambda: kept.replace(target)
