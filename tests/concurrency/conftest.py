from __future__ import annotations

from pathlib import Path

import pytest
from all_heads import MIXED, load_all_heads, make_all_heads

from spacy_bertft.exchange.graphs import quantize


@pytest.fixture(scope="session")
def folder(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a trained pipeline with every component."""
    folder = tmp_path_factory.mktemp("all-heads")
    make_all_heads(checkpoint).to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def quantized(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the same pipeline in 8-bit integers, without the component that has to have torch."""
    new = tmp_path_factory.mktemp("quantized")
    nlp = load_all_heads(folder)
    nlp.remove_pipe("bert_spancat")
    nlp.to_disk(new / "whole")
    (new / "texts.txt").write_text("\n".join(filter(str.strip, MIXED)), encoding="utf-8")
    quantize(new / "whole", new / "texts.txt", new / "pipeline")
    return new / "pipeline"
