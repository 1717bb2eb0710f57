"""Every command against the real thing: signals at any moment, limits of the system, a full disk, a closed folder."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from time import monotonic

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, capabilities and tmpfs")

MARGIN = 1 << 16  # bytes that a file system takes for itself


def test_signals_at_any_moment(trial, choose):
    start = monotonic()
    trial.restore()
    assert trial.run(trial.command.second) == 0
    seconds = monotonic() - start
    rng = random.Random(trial.command.name)
    # As many as there are faults of a kind; of each, one signal and the other.
    for number in choose(min(len(trial.changes), 30)):
        kind, sent = [("kill", signal.SIGKILL), ("term", signal.SIGTERM)][number % 2]
        trial.restore()
        trial.check(kind, trial.run(trial.command.second, signal=sent, after=rng.uniform(0, seconds)))


def test_a_limit_on_the_size_of_files(trial):
    trial.restore()
    most_bytes = trial.measure() // 2
    if most_bytes < 1000:
        pytest.skip("it writes so little that it could not say what is wrong")
    code = trial.run(trial.command.second, most_bytes=most_bytes)
    assert code == 1
    assert "File too large" in trial.read_said()
    assert trial.check("full", code) == "old" or not trial.command.are_joint


@pytest.fixture
def small_disk(trial):
    """Give a function that makes the disk of the trial one of its own, of some size."""
    trial.restore()

    def mount(n_bytes: int) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(trial.disk)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")

    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    yield mount
    subprocess.run(["umount", "-l", str(trial.disk)], capture_output=True)


def test_a_disk_that_is_full(trial, small_disk):
    largest = trial.measure()
    old = sum(path.stat().st_size for path in (trial.home / "old").rglob("*") if path.is_file())
    small_disk(2 * (old + largest) + MARGIN * 16)
    trial.restore()
    with (trial.disk / "ballast").open("wb", buffering=0) as ballast:
        free = shutil.disk_usage(trial.disk).free
        ballast.write(b"\0" * max(0, free - largest // 2))
    code = trial.run(trial.command.second)
    assert code == 1
    assert "No space left on device" in trial.read_said()
    assert trial.check("full", code) == "old" or not trial.command.are_joint


def test_a_folder_that_may_not_be_written(trial):
    trial.restore()
    for path in [trial.disk, *trial.disk.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        code = trial.run(trial.command.second, is_unprivileged=True)
        assert code == 1
        assert "Permission denied" in trial.read_said()
        assert trial.find_outcome() == "old"
        assert not trial.find_left()
    finally:
        for path in [trial.disk, *trial.disk.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o666)
    trial.check("lost", code)
