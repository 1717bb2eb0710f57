"""The inputs that fuzzing has kept, run again: each reaches lines of the package that no other one does."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.hostile

CORPUS = Path(__file__).parent.parent / "reliability" / "fuzz" / "corpus"
TARGETS = sorted(path.name for path in CORPUS.iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_are_answered(target: str) -> None:
    if target == "rows":
        pytest.importorskip("pyarrow", reason="the extra arrow is not installed")
    fuzz_one = import_module(f"reliability.fuzz.{target}").fuzz_one
    paths = sorted((CORPUS / target).iterdir())
    assert paths
    for path in paths:
        try:
            fuzz_one(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"python -m reliability.fuzz.replay {target} {path}") from error


def test_the_kept_inputs_are_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1_000_000
