"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from small_checkpoints import make_checkpoint
from thinc.api import fix_random_seed

# A busy machine is no bug, and what fails once fails again.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_fixture_setup() -> None:
    """Let every fixture begin with the same random numbers, whatever ran before it."""
    fix_random_seed(0)


def pytest_runtest_call() -> None:
    """Let every test begin with the same random numbers, whatever ran before it."""
    fix_random_seed(0)


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
