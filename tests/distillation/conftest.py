from __future__ import annotations

import pytest
import spacy
from planted_words import plant


@pytest.fixture(scope="package")
def nlp_of_planted(planted) -> tuple[spacy.Language, list[str]]:
    """A pipeline that finds keywords, and texts with them."""
    return spacy.load(planted), [text for text, _ in plant(10, seed=5)]
