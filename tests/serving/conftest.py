"""A pipeline that writes everything that can be served, on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from all_heads import make_all_heads


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Path:
    """Give the folder of a pipeline with every head."""
    folder = tmp_path_factory.mktemp("served") / "every-head"
    make_all_heads(checkpoint).to_disk(folder)
    return folder
