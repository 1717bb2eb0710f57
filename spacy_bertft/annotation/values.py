"""Values of rows and of documents: what a pipeline has found, and what JSON and columns with a type can hold."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.annotation.settings import Kind
from spacy_bertft.components.entity_scores import find_score

_DIGITS = 6  # of a probability


def list_answers(nlp: Language) -> tuple[str, ...]:
    """List what a pipeline predicts: `ents`, `cats`, `tags`, `answers`, by what its components say that they assign."""
    metas = [nlp.get_pipe_meta(name) for name in nlp.pipe_names]
    assigned = {attribute for meta in metas for attribute in (*meta.assigns, meta.factory)}
    return tuple(answer for answer, (attribute, _) in _ANSWERS.items() if attribute in assigned)


def list_unwritten(nlp: Language) -> list[str]:
    """List the components whose predictions are groups of spans, for which there is no column."""
    written = {*(attribute for attribute, _ in _ANSWERS.values()), "text_pair"}
    metas = {name: nlp.get_pipe_meta(name) for name in nlp.pipe_names}
    return [
        name
        for name, meta in metas.items()
        if "doc.spans" in meta.assigns and written.isdisjoint((*meta.assigns, meta.factory))
    ]


def read_answers(doc: Doc, answers: Mapping[str, str]) -> dict[str, Any]:
    """Read the predictions of a document.

    Args:
        doc: The document.
        answers: The column of each of `ents`, `cats`, `tags`, `answers` that is wanted.

    Returns:
        By column: entities, tags and answers with their half-open range of characters; categories with their
        probabilities. An entity that no component of ours has predicted has the score None. A document that is no pair
        of texts has None for answers.
    """
    return {column: _ANSWERS[answer][1](doc) for answer, column in answers.items()}


def _read_ents(doc: Doc) -> list[dict[str, Any]]:
    scored = [(ent, find_score(ent)) for ent in doc.ents]
    return [
        {"start": ent.start_char, "end": ent.end_char, "label": ent.label_, "score": score and round(score, _DIGITS)}
        for ent, score in scored
    ]


def _read_cats(doc: Doc) -> dict[str, float]:
    return {label: round(float(score), _DIGITS) for label, score in doc.cats.items()}


def _read_tags(doc: Doc) -> list[dict[str, Any]]:
    return [
        {"start": token.idx, "end": token.idx + len(token), "tag": token.tag_}
        for token in doc
        if token.tag_ and not token.is_space
    ]


def _read_answers(doc: Doc) -> list[dict[str, Any]] | None:
    groups = [group for group in doc.spans.values() if "no_answer" in group.attrs]
    return (
        None
        if not groups
        else [
            {"start": span.start_char, "end": span.end_char, "text": span.text, "score": round(score, _DIGITS)}
            for group in groups
            for span, score in zip(group, group.attrs["scores"], strict=True)
        ]
    )


# What a component says that it assigns, or its factory, and how it is read.
_ANSWERS: dict[str, tuple[str, Callable[[Doc], Any]]] = {
    "ents": ("doc.ents", _read_ents),
    "cats": ("doc.cats", _read_cats),
    "tags": ("token.tag", _read_tags),
    "answers": ("bert_qa", _read_answers),
}


def format_json(values: Mapping[str, object]) -> str:
    """Format values as a JSON object that any reader takes: JSON has no word for NaN."""
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=simplify)
    except ValueError:
        return json.dumps(simplify(values), ensure_ascii=False)


def simplify(value: Any) -> Any:
    """Return a value of a Parquet column as JSON has it: dates in ISO 8601, bytes in base64, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): simplify(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [simplify(each) for each in value]
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


EXTRA = "extra"  # the column for all that has no column of its own
_INT64 = 1 << 63


def find_kinds(rows: Iterable[Mapping[str, object]], text_column: str) -> dict[str, Kind]:
    """Find what columns hold.

    Args:
        rows: The first rows.
        text_column: The column of the texts.

    Returns:
        The kind of every column that holds values of one kind, in the order in which they are met. A column of whole
        numbers and fractions holds fractions.
    """
    found: dict[str, set[Kind | None]] = {text_column: {"string"}}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                found.setdefault(name, set()).add(_find_kind(value))
    found.pop(EXTRA, None)
    kinds: dict[str, Kind] = {}
    for name, several in found.items():
        kind = several.pop() if len(several) == 1 else "double" if several == {"int64", "double"} else None
        if kind is not None:
            kinds[name] = kind
    return kinds


def fits(value: object, kind: str) -> bool:
    """Return whether a column of a kind can hold a value, and give it back as it was; null it always can."""
    if kind == "double" and isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= 1 << 53
    return value is None or _find_kind(value) == kind


def _find_kind(value: object) -> Kind | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -_INT64 <= value < _INT64 else None
    if isinstance(value, float):
        return "double"
    return "string" if isinstance(value, str) else None
