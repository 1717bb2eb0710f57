"""The processes that other tests start are found and ended at any moment of their lives."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from annotated_runs import Run

pytestmark = pytest.mark.process

# Starts a process that ends at once, waits for no more than its end, and so leaves a zombie; and one that lives.
WITH_ZOMBIE = """
import os, subprocess, sys

ended = subprocess.Popen([sys.executable, "-c", ""])
os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
living = subprocess.Popen([sys.executable, "-c", "print('ready', flush=True); input()"], stdin=subprocess.PIPE)
living.wait()
"""


def test_a_process_that_becomes_a_zombie_is_not_found(monkeypatch):
    with Run(["-c", WITH_ZOMBIE], {}) as run:
        assert run.process.stdout.readline() == b"ready\n"
        # As it was a moment before, when each of them was alive.
        monkeypatch.setattr(psutil.Process, "status", lambda self: psutil.STATUS_RUNNING)
        [living] = run.find_processes()
        assert "ready" in living.cmdline()[-1]
        assert run.find_processes("ready") == [living]
        assert run.find_processes("nothing") == []


def test_a_process_that_ends_before_it_is_killed(monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = psutil.Process(process.pid)
    process.communicate()
    with Run(["-c", "input()"], {}) as run:
        monkeypatch.setattr(run, "find_processes", lambda: [found])
    assert not run.is_running()
