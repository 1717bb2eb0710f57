"""The long runs of `reliability/` for some seconds; how flat memory is, is what they take longer to find."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from waiting import PATIENCE

from reliability import memory

RELIABILITY = Path(__file__).parent.parent.parent / "reliability"
LIMIT = ("--limit", "0.5")
BACKENDS = [
    "torch",
    pytest.param(
        "openvino", marks=pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
    ),
]


def test_a_watch_that_hardly_ever_looks(monkeypatch):
    """As on a machine that is busy with something else."""
    monkeypatch.setattr(memory, "_PERIOD", PATIENCE)
    with memory.MemoryWatch(1.0, 4) as watch:
        pass
    assert [part.n_samples for part in watch.parts] == [1, 0, 0, 0]
    assert memory.find_growth(watch.parts) == -1
    assert len(memory.format_parts(watch.parts, "quarter").splitlines()) == 4


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(RELIABILITY / name), *arguments, *LIMIT]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at memory as Linux tells it")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_and_cycles_of_saving_and_loading(checkpoint, backend):
    few = ("--before", "1", "--minutes", "0.05", "--cycles", "5")
    output = run("soak.py", "--encoder", checkpoint, "--backend", backend, *few)
    assert re.search(r"^[\d,]+ texts of [\d,]+ words in [\d.]+ minutes$", output, re.MULTILINE)
    assert len(re.findall(r"^tenth +\d+ +mean +[\d.]+ MB", output, re.MULTILINE)) == 10
    assert re.search(r"^slope +[+-][\d.]+ kB a cycle", output, re.MULTILINE)
    for name in ("files", "threads", "temporary"):
        before, after = re.search(rf"^{name} +(\d+) → (\d+)$", output, re.MULTILINE).groups()
        assert int(after) <= int(before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at memory as Linux tells it")
@pytest.mark.parametrize(("options", "n_known"), [((), "20,000"), (("--new-words",), "0")])
def test_a_tokenizer_alone(options, n_known):
    output = run("soak.py", "--backend", "none", "--before", "1", "--minutes", "0.05", "--cycles", "0", *options)
    assert f"all lengths, {n_known} odd words: " in output
    assert len(re.findall(r"^tenth +\d+ +mean +[\d.]+ MB", output, re.MULTILINE)) == 10
