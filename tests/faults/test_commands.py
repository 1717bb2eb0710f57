"""Every command, on a disk that fails at a change: killed, told to end, full, or without permission."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.parametrize("kind", ["kill", "term", "full", "lost"])
def test_what_was_there_is_whole_or_what_is_new(trial, kind, choose):
    for number in choose(len(trial.changes)):
        trial.break_off(kind, number)
