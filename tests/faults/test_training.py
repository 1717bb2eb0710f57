"""Trainings that are killed as the system kills: at any moment, with nobody left to tidy up."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy
from resumed_runs import check_same, make_config, make_data

N_KILLS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = make_data(tmp_path_factory.mktemp("killed"))
    make_config(folder, {}).to_disk(folder / "config.cfg", interpolate=False)
    printed, _ = start(folder, "train", "config.cfg", "--output", "unbroken").communicate()
    assert (folder / "unbroken" / "model-last").exists(), printed
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "spacy_bertft", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_a_row(process: subprocess.Popen[str], step: int) -> None:
    """Wait until a training has looked at the development set after a step."""
    for line in process.stdout:
        if line.split()[1:2] == [str(step)]:
            return


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training(folder, tmp_path, choose, sign):
    for seed in choose(N_KILLS):
        kill_and_resume(folder, tmp_path / f"killed {seed}", random.Random(f"{seed} {sign}"), sign)


def kill_and_resume(folder: Path, output: Path, rng: random.Random, sign: signal.Signals) -> None:
    process = start(folder, "train", "config.cfg", "--output", str(output))
    wait_for_a_row(process, rng.choice([0, 10, 20]))
    time.sleep(rng.uniform(0, 0.5))
    process.send_signal(sign)
    process.communicate()
    for name in ("model-best", "model-last"):
        if (output / name).exists():
            spacy.load(output / name)
    if (output / "snapshot").exists():
        process = start(folder, "resume", str(output))
    else:  # the first one was not there yet, or the end was
        process = start(folder, "train", "config.cfg", "--output", str(output))
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    check_same(folder / "unbroken", output)
