"""Pipelines on a disk: one that is quick, and one with heads of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from taught_pipelines import make_taught_pipeline


@pytest.fixture(scope="session")
def ruler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a pipeline that finds the word `film`."""
    folder = tmp_path_factory.mktemp("ruler") / "model"
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Path:
    """Give the folder of a pipeline: `bert_ner`, and two heads for texts that share an encoder."""
    folder = tmp_path_factory.mktemp("annotate") / "model"
    make_taught_pipeline(checkpoint).to_disk(folder)
    return folder
