"""spaCy's blank pipelines, made once and not for every input, which would take nearly all of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from unittest.mock import patch

import spacy
from spacy.language import Language

_make_blank = spacy.blank
_USES = 10_000  # after so many a pipeline is made anew: its vocabulary keeps every word that it has seen


@contextmanager
def remember_blanks() -> Iterator[None]:
    """Let `spacy.blank` give the same pipeline again."""
    with patch.object(spacy, "blank", get_blank):
        yield


def get_blank(lang: str) -> Language:
    """Give the blank pipeline of a language."""
    nlp, uses = _remember(lang)
    uses[0] += 1
    if uses[0] > _USES:
        _remember.cache_clear()
    return nlp


@lru_cache
def _remember(lang: str) -> tuple[Language, list[int]]:
    return _make_blank(lang), [0]
