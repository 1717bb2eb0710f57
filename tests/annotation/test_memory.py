from __future__ import annotations

import subprocess
import sys

import pytest

from spacy_bertft.annotation.memory import give_back_memory, keep_large_blocks_apart

pytestmark = pytest.mark.process

# Blocks that glibc does not map one by one, every second of them free at the end: holes that it would keep.
HOLES = """
from pathlib import Path
from spacy_bertft.annotation.memory import give_back_memory

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
import ctypes, sys
from spacy_bertft.annotation.memory import keep_large_blocks_apart

def is_in_heap(block):
    place = ctypes.addressof(ctypes.c_char.from_buffer(block))
    [heap] = [line for line in open("/proc/self/maps") if line.endswith("[heap]\\n")]
    start, end = (int(number, 16) for number in heap.split()[0].split("-"))
    return start <= place < end

if sys.argv[1] == "apart":
    keep_large_blocks_apart()
found = []
for _ in range(2):
    block = bytearray(16 << 20)
    found.append(is_in_heap(block))
    del block
print(*found)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to")
@pytest.mark.parametrize(("how", "expected"), [("together", "False True\n"), ("apart", "False False\n")])
def test_large_blocks_stay_apart(how, expected):
    done = subprocess.run([sys.executable, "-c", LARGE, how], capture_output=True, text=True, check=True)
    assert done.stdout == expected


def test_it_may_be_asked_for_often():
    for _ in range(2):
        keep_large_blocks_apart()
        give_back_memory()
