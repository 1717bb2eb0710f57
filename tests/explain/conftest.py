"""A pipeline that has learned which word makes which class, and texts for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from planted_words import KEYWORDS, make_cats, make_example, plant
from spacy.language import Language
from spacy.tokens import DocBin


@pytest.fixture(scope="session")
def nlp(planted: Path) -> Language:
    """Give the pipeline."""
    return spacy.load(planted)


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory, nlp: Language) -> Path:
    """Give a file of 30 texts, the first three of which are annotated wrongly."""
    docs = []
    for index, (text, keyword) in enumerate(plant(30, seed=3)):
        doc = make_example(nlp, text, keyword).reference
        if index < 3:
            doc.cats = make_cats(next(label for label in KEYWORDS.values() if label != KEYWORDS[keyword]))
            doc.set_ents([], default="outside")
        docs.append(doc)
    path = tmp_path_factory.mktemp("annotated") / "gold.spacy"
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path
