"""What a pipeline has found in a document, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.components.score import find_score

_DIGITS = 6  # of a probability


def list_answers(nlp: Language) -> tuple[str, ...]:
    """List what a pipeline finds: `ents`, `cats`, `tags`, by what its components say that they assign."""
    assigned = {attribute for name in nlp.pipe_names for attribute in nlp.get_pipe_meta(name).assigns}
    return tuple(answer for answer, attribute in _ASSIGNED.items() if attribute in assigned)


def read_answers(doc: Doc, answers: Mapping[str, str]) -> dict[str, Any]:
    """Read answers off a document.

    Args:
        doc: The document.
        answers: The column of each of `ents`, `cats`, `tags` that is wanted.

    Returns:
        By column: entities and tags with their characters, from the first to the one after the last; categories with
        their probabilities. An entity that no component of ours has found has the score None.
    """
    return {column: _READERS[answer](doc) for answer, column in answers.items()}


def _read_ents(doc: Doc) -> list[dict[str, Any]]:
    return [
        {
            "start": ent.start_char,
            "end": ent.end_char,
            "label": ent.label_,
            "score": _round(find_score(ent)),
        }
        for ent in doc.ents
    ]


def _read_cats(doc: Doc) -> dict[str, float]:
    return {label: round(float(score), _DIGITS) for label, score in doc.cats.items()}


def _read_tags(doc: Doc) -> list[dict[str, Any]]:
    return [
        {"start": token.idx, "end": token.idx + len(token), "tag": token.tag_}
        for token in doc
        if token.tag_ and not token.is_space
    ]


def _round(score: float | None) -> float | None:
    return None if score is None else round(score, _DIGITS)


_ASSIGNED = {"ents": "doc.ents", "cats": "doc.cats", "tags": "token.tag"}
_READERS: dict[str, Callable[[Doc], Any]] = {"ents": _read_ents, "cats": _read_cats, "tags": _read_tags}
