"""A disk that fails: at one change of many, or for good.

Run as a script, this is a server. It imports everything once; each line of its input is a job as JSON, which it runs
in a fork of its own, so that a command can be run, and killed, hundreds of times in a minute.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import importlib
import io
import json
import os
import pathlib
import pkgutil
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path
from time import sleep
from typing import Any

GROWS = ("open", "mkdir", "link", "write", "fsync")  # what a full disk refuses
NEEDS_PERMISSION = ("open", "mkdir", "link", "rename", "remove", "rmdir", "exchange")
_OVERRIDE = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: with these root may do everything


class FaultyDisk:
    """Counts changes below a folder, and fails from one of them on.

    Args:
        root: The folder.
        kind: `kill` for SIGKILL, `term` for SIGTERM, `full` for no space, `lost` for no permission; "" to count only.
        at: At which change, from 1.
    """

    def __init__(self, root: str, kind: str = "", at: int = 0) -> None:
        self.root = f"{root}/"
        self.kind = kind
        self.at = at
        self.changes: list[str] = []

    def install(self) -> None:
        """Watch this process from now on. There is no way back."""
        sys.addaudithook(self._hear)
        real_open, real_fsync = io.open, os.fsync

        def faulty_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            opened = real_open(file, mode, *arguments, **options)
            is_changed = set(mode) & set("wax+") and not isinstance(file, int)
            return FaultyFile(opened, self) if is_changed and self._find(file) else opened

        def faulty_fsync(descriptor: int) -> None:
            self._change("fsync", Path(f"/proc/self/fd/{descriptor}").readlink())
            real_fsync(descriptor)

        def open_path(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            return faulty_open(path, mode, *arguments, **options)

        builtins.open = io.open = faulty_open  # type: ignore[assignment]
        pathlib.Path.open = open_path  # type: ignore[method-assign, assignment]
        os.fsync = faulty_fsync
        shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]
        folders = importlib.import_module("spacy_bertft.output.folders")
        real_exchange = folders.exchange

        def faulty_exchange(one: Path, other: Path) -> bool:
            self._change("exchange", other)
            return bool(real_exchange(one, other))

        folders.exchange = faulty_exchange  # type: ignore[attr-defined]

    def write(self, file: Any, data: Any) -> int:
        """Write to a file; where the disk fails just then, half of it."""
        half = len(data) // 2
        if self.kind and len(self.changes) + 1 >= self.at:
            file.write(data[:half])
            file.flush()
            self._change("write", file.name)
            return half + int(file.write(data[half:]))
        self._change("write", file.name)
        return int(file.write(data))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
            if not isinstance(path, int) and flags & writes:
                self._change("open", path)
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            self._change(event.removeprefix("os."), arguments[0], arguments[-1])
        elif event in ("os.rename", "os.link"):
            self._change(event.removeprefix("os."), arguments[1])

    def _change(self, what: str, path: Any, folder: int = -1) -> None:
        found = self._find(path, folder)
        if not found:
            return
        self.changes.append(f"{what} {found}")
        number = len(self.changes)
        if self.kind == "kill" and number == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == "term" and number == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.kind == "full" and number >= self.at and what in GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([] if what in ("write", "fsync") else [found]))
        elif self.kind == "lost" and number >= self.at and what in NEEDS_PERMISSION:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), found)

    def _find(self, path: Any, folder: int = -1) -> str:
        """Return the whole path of what is below the folder, or nothing."""
        name = os.fsdecode(path)
        if not name.startswith("/"):
            base = Path.cwd() if folder < 0 else Path(f"/proc/self/fd/{folder}").readlink()
            name = f"{base}/{name}"
        return name if name.startswith(self.root) else ""


class FaultyFile:
    """A file on a faulty disk."""

    def __init__(self, file: Any, disk: FaultyDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, data: Any) -> int:
        return self._disk.write(self._file, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> FaultyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def drop_privileges() -> None:
    """Give up what lets root write where nobody may."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    for call in (libc.capget, libc.capset):
        if call(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), "capabilities")
        sets[0] &= ~sum(1 << capability for capability in _OVERRIDE)


def save(source: str, target: str) -> None:
    """Save a pipeline over an earlier one: no command of ours, but what many scripts do."""
    import spacy

    spacy.load(source).to_disk(target)


def run_job(job: dict[str, Any]) -> None:
    """Run a command as `spacy-bertft` does, and end this process.

    Args:
        job: `arguments`; `cwd`, which is the faulty disk; `said`, a file for what is printed; and if wanted `kind` and
            `at` of a fault, `changes`, a file for the list of changes, `most_bytes` of a file, `is_unprivileged`.
    """
    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(job["cwd"])
    if job.get("is_unprivileged"):
        drop_privileges()
    if job.get("most_bytes") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["most_bytes"], job["most_bytes"]))
    disk = FaultyDisk(job["cwd"], job.get("kind", ""), job.get("at", 0))
    if "kind" in job:
        disk.install()
    code = _run(job["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    if job.get("changes"):
        descriptor = os.open(job["changes"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, json.dumps(disk.changes).encode())
    os._exit(code)


def _run(arguments: list[str]) -> int:
    from spacy_bertft.cli import app

    app.command("save")(save)
    try:
        app(arguments, prog_name="spacy-bertft")
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:  # noqa: BLE001  # as Python itself does
        traceback.print_exc()
        return 70
    return 0


def import_all() -> None:
    """Import whatever a command may need."""
    import matplotlib.pyplot  # noqa: F401
    import spacy.cli.package  # noqa: F401
    import torch
    import transformers.models.bert.modeling_bert
    import transformers.models.electra.modeling_electra  # noqa: F401

    import spacy_bertft

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(spacy_bertft.__path__, "spacy_bertft."):
        if not module.name.startswith(
            ("spacy_bertft.demo", "spacy_bertft.__main__", "spacy_bertft.models.stock.spacy_tr")
        ):
            importlib.import_module(module.name)


def serve() -> None:
    """Answer each job by its exit code, below zero for a signal; `signal` and `after`, in seconds, send it one."""
    import_all()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_job(job)
        if "signal" in job:
            sleep(job["after"])
            os.kill(pid, job["signal"])  # one that is over is a zombie until somebody waits for it
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
