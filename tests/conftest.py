"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from small_checkpoints import make_checkpoint

# A busy machine is no bug.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give the folder of a small random checkpoint, made once per kind."""
    made: dict[tuple[str, int], Path] = {}

    def get(family: str = "bert", n_labels: int = 0) -> Path:
        if (family, n_labels) not in made:
            made[family, n_labels] = make_checkpoint(tmp_path_factory.mktemp(family), family, n_labels)
        return made[family, n_labels]

    return get


@pytest.fixture(scope="session")
def checkpoint(checkpoints: Callable[..., Path]) -> str:
    """Give the folder of a small random BERT."""
    return str(checkpoints())
