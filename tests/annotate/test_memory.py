from __future__ import annotations

import subprocess
import sys

import pytest

from spacy_bertft.annotate.memory import give_back_memory, keep_large_blocks_apart

# Blocks that glibc does not map one by one, every second of them free at the end: holes that it would keep.
HOLES = """
from pathlib import Path
from spacy_bertft.annotate.memory import give_back_memory

def read_size():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

blocks = [bytes(60_000) + bytes([i % 256]) for i in range(2000)]
del blocks[::2]
before = read_size()
give_back_memory()
print(before - read_size())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to")
def test_holes_are_given_back():
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 30_000  # kB, of 60,000


LARGE = """
from spacy_bertft.annotate.memory import keep_large_blocks_apart

def count_maps():
    return len(open("/proc/self/maps").read().splitlines())

keep_large_blocks_apart()
before = count_maps()
for _ in range(3):  # by itself glibc would take the second one from its heap, and keep it
    block = bytearray(b"x") * (16 << 20)
    held = count_maps()
    del block
    print(held - before, count_maps() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to")
def test_large_blocks_stay_apart():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert len(set(done.stdout.splitlines())) == 1
    assert done.stdout.split()[1] == "0"


def test_it_may_be_asked_for_often():
    for _ in range(2):
        keep_large_blocks_apart()
        give_back_memory()
