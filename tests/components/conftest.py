"""A pipeline with every head, over an encoder without dropout, which computes the same in training as in prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.language import Language
from taught_pipelines import GOLD, SPANS, make_taught_pipeline
from thinc.api import fix_random_seed

TAGS = [{"tags": ["LONG" if len(token) > 3 else "SHORT" for token in spacy.blank("en")(text)]} for text in TEXTS[:2]]


@pytest.fixture(scope="session")
def all_heads_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all-heads")
    plain = make_checkpoint(folder / "plain", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    gold = {**GOLD, "bert_tagger": TAGS, "bert_spancat": SPANS}
    make_taught_pipeline(str(plain), gold, n_steps=10).to_disk(folder / "pipeline")
    return folder / "pipeline"


@pytest.fixture
def all_heads(all_heads_dir: Path) -> Language:
    """Give it, with heads that have learned something."""
    fix_random_seed(0)
    return spacy.load(all_heads_dir)
