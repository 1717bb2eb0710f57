"""Processes that a pipeline is sent to, or that inherit it, answer as this one does, and do not wait forever."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
import torch
from all_heads import MIXED, load_all_heads, read_answer
from waiting import PATIENCE

TESTS = Path(__file__).parent.parent
NEEDS_OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
NEEDS_NNCF = pytest.mark.skipif(find_spec("nncf") is None, reason="needs the extra quantize")
BACKENDS = [
    "torch",
    pytest.param("openvino", marks=NEEDS_OPENVINO),
    pytest.param("graph", marks=NEEDS_NNCF, id="8-bit"),
]


@pytest.fixture
def pipeline(request, backend) -> str:
    """Give the folder of the pipeline that has the backend."""
    return str(request.getfixturevalue("quantized" if backend == "graph" else "folder"))


def run(name: str, *arguments: str) -> str:
    """Run a program that is next to this file."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(name)), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# A server that forks sends a child what `spawn` sends it: one backend will do.
METHODS = multiprocessing.get_all_start_methods()
WITH_OPENVINO = [
    pytest.param(method, *each.values, marks=each.marks)
    for method, each in product(METHODS, BACKENDS[1:])
    if method != "forkserver"
]


@pytest.mark.parametrize(("method", "backend"), [*product(METHODS, ["torch"]), *WITH_OPENVINO])
def test_two_processes(pipeline, method, backend):
    assert run("stream_in_processes.py", method, pipeline, backend) == f"{len(MIXED)} answers by {method}\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_that_come_first(pipeline, backend, tmp_path):
    """Whatever is made when it is first needed, all threads need at once."""
    texts = MIXED[:8]
    run("start_cold.py", pipeline, backend, json.dumps(texts), str(tmp_path / "answers.json"))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    nlp = load_all_heads(pipeline, backend=backend)
    expected = [read_answer(nlp(text)) for text in texts]
    torch.set_num_threads(before)
    # Not by srsly, which rounds.
    for answers in json.loads((tmp_path / "answers.json").read_text(encoding="utf-8")):
        assert answers == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_thread_of_a_forked_child_may_predict(folder):
    """The pool of threads that the child has inherited is dead for the thread that was forked, whoever comes first."""
    run("fork_after_threads.py", str(folder))
