from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from errno import EACCES, ENOSPC
from pathlib import Path

import pytest

from spacy_bertft.output import (
    folders,
    name_path,
    replace_all_when_done,
    replace_folder_when_done,
    replace_when_done,
    update_folder_when_done,
)


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replace_when_done(path) as temporary_path:
        temporary_path.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def write_half(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replace_when_done(path) as temporary_path:
        write_half(temporary_path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_dead_process_has_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.txt", tmp_path / "model"
    for name in ("a.txt", "model"):
        (tmp_path / f".{name}.{'0' * 32}.tmp").write_text("of a dead process")
    (tmp_path / f".model.{'1' * 32}.tmp" / "deep").mkdir(parents=True)
    others = [tmp_path / ".a.txt.tmp", tmp_path / f".b.txt.{'0' * 32}.tmp", tmp_path / f".a.txt.{'0' * 31}.tmp"]
    for other in others:
        other.write_text("of somebody else")
    with replace_when_done(path) as first, replace_folder_when_done(folder) as first_dir:
        first.write_text("first")
        (first_dir / "config").write_text("first")
        with replace_when_done(path) as second, replace_folder_when_done(folder) as second_dir:
            second.write_text("second")
            (second_dir / "config").write_text("second")
        assert path.read_text() == (folder / "config").read_text() == "second"
        assert first.read_text() == (first_dir / "config").read_text() == "first"
    assert path.read_text() == (folder / "config").read_text() == "first"
    assert sorted(tmp_path.iterdir()) == sorted([path, folder, *others])


def test_threads_that_write_the_same(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with replace_when_done(tmp_path / "a") as path, replace_folder_when_done(tmp_path / "b") as folder:
            path.write_text(str(number) * 1000)
            (folder / "c").write_text(str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(10)))
    for path in (tmp_path / "a", tmp_path / "b" / "c"):
        assert len(path.read_text()) == 1000
        assert len(set(path.read_text())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def replace_all(paths: list[Path], blocked: Path | None = None) -> None:
    with replace_all_when_done(paths) as temporary_paths:
        for path in temporary_paths:
            path.write_text("new")
        if blocked is not None:
            blocked.unlink()
            (blocked / "in the way").mkdir(parents=True)


def test_several_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("old", "not there", "blocked")]
    for path in (paths[0], paths[2]):
        path.write_text("old")
    with pytest.raises(IsADirectoryError, match=f"'{paths[2]}'"):
        replace_all(paths, blocked=paths[2])
    assert paths[0].read_text() == "old"
    assert sorted(tmp_path.iterdir()) == sorted([paths[0], paths[2]])
    replace_all(paths[:2])
    assert [path.read_text() for path in paths[:2]] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def write_folder(folder: Path, content: str) -> None:
    with replace_folder_when_done(folder) as temporary_dir:
        for name in ("a", "b"):
            (temporary_dir / name).write_text(content)


def read_folder(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, monkeypatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    folder = tmp_path / "model"
    for content in ("first", "second"):
        write_folder(folder, content)
        (folder / "more").write_text("of the first")
    write_folder(folder, "third")
    assert read_folder(folder) == {"a": "third", "b": "third"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_was_moved_aside_is_put_back_first(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_folder(folder, "old")
    folder.rename(tmp_path / f".model.{'0' * 32}.old")  # here a process was killed
    with pytest.raises(RuntimeError), replace_folder_when_done(folder):
        raise RuntimeError
    assert read_folder(folder) == {"a": "old", "b": "old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_cannot_be_moved_stays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    folder = tmp_path / "model"
    write_folder(folder, "old")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise PermissionError(EACCES, "Permission denied", str(path), None, str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError, match=f"'{folder}'"):
        write_folder(folder, "new")
    assert read_folder(folder) == {"a": "old", "b": "old"}
    assert list(tmp_path.iterdir()) == [folder]


WRITE = """
import sys
from pathlib import Path
from faulty_disk import FaultyDisk
from spacy_bertft.output import folders
root, has_exchange, at = Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
if not has_exchange:
    folders.exchange = lambda one, other: False
disk = FaultyDisk(str(root), "kill" if at else "", at)
disk.install()
with folders.replace_folder_when_done(root / "model") as folder:
    for name in ("a", "b"):
        (folder / name).write_text("new")
print("\\n".join(disk.changes))
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("has_exchange", [True, False])
def test_a_kill_at_any_change_loses_nothing(tmp_path: Path, has_exchange: bool) -> None:
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}

    def write(root: Path, at: int) -> subprocess.CompletedProcess[str]:
        write_folder(root / "model", "old")
        arguments = [sys.executable, "-c", WRITE, str(root), str(has_exchange), str(at)]
        return subprocess.run(arguments, capture_output=True, text=True, env=environment)

    done = write(tmp_path / "0", 0)
    changes = [line.split(" ", 1)[0] for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    # Everything is on the disk before the first name changes.
    step = changes.index("exchange")
    assert changes[:step].count("fsync") == 3  # two files and their folder
    assert set(changes[step - 3 : step]) == {"fsync"}
    for at in range(1, len(changes) + 1):
        root = tmp_path / str(at)
        assert write(root, at).returncode == -signal.SIGKILL
        aside = list(root.glob(".model.*.old"))
        found = read_folder(root / "model") if (root / "model").exists() else read_folder(aside[0])
        assert found in ({"a": "old", "b": "old"}, {"a": "new", "b": "new"}), at
        assert (root / "model").exists() or not has_exchange
        write_folder(root / "model", "next")
        assert read_folder(root / "model") == {"a": "next", "b": "next"}
        assert list(root.iterdir()) == [root / "model"], at


def test_what_else_stands_in_a_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "component"
    for content in ("old", "new"):
        with update_folder_when_done(folder) as temporary_dir:
            (temporary_dir / "deep").mkdir()
            (temporary_dir / "deep" / "weights").write_text(content)
        assert (folder / "deep" / "weights").read_text() == content
        (folder / "notes").write_text("mine")
    assert read_folder(folder / "deep") == {"weights": "new"}
    assert (folder / "notes").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["deep", "notes"]


def test_errors_name_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match=rf"^\[Errno {ENOSPC}\] No space left on device: '{path}'$"), name_path(path):
        raise OSError(ENOSPC, os.strerror(ENOSPC))
    with pytest.raises(FileNotFoundError, match=f"'{path}/b'$"), replace_folder_when_done(path) as folder:
        (folder / "b").read_text()
    with pytest.raises(FileNotFoundError, match=f"'{tmp_path}/other'$"), replace_when_done(path):
        (tmp_path / "other").read_text()


def test_a_copy_that_a_full_disk_ends_says_where(tmp_path: Path) -> None:
    def copy(source: str, target: str) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))  # as of a write, which names no file

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "weights").write_text("weights")
    new = tmp_path / "new"
    expected = rf"^\[Errno {ENOSPC}\] No space left on device: '{new}/weights'$"
    with pytest.raises(OSError, match=expected), replace_folder_when_done(new) as folder:
        shutil.copytree(tmp_path / "old", folder, dirs_exist_ok=True, copy_function=copy)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(path.read_text)
        with replace_when_done(path) as place:
            place.write_text("through")
        assert read.result() == "through"
    assert path.is_fifo()


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "data" / "a.txt", tmp_path / "a.txt"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    with replace_when_done(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
