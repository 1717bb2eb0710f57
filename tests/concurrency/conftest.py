from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from all_heads import make_all_heads


@pytest.fixture(scope="session")
def folder(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a trained pipeline with every component."""
    folder = tmp_path_factory.mktemp("all-heads")
    make_all_heads(checkpoint).to_disk(folder)
    return folder


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch have two threads, so that passes run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
