"""A pipeline on a disk with heads of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from taught_pipelines import make_taught_pipeline


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Path:
    """Give the folder of a pipeline: `bert_ner`, and two heads for texts that share an encoder."""
    folder = tmp_path_factory.mktemp("annotate") / "model"
    make_taught_pipeline(checkpoint).to_disk(folder)
    return folder
