"""Values of rows and of documents: what a pipeline has found, and what JSON and columns with a type can hold."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import zip_longest
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_bertft.annotation.settings import Kind
from spacy_bertft.components.entity_scores import find_scores
from spacy_bertft.data.pairs import SEGMENTS

_DIGITS = 6  # of a probability


def list_answers(nlp: Language) -> tuple[str, ...]:
    """List what a pipeline predicts: `ents`, `cats`, `spans`, `tags`, `answers`, by what its components say."""
    metas = [nlp.get_pipe_meta(name) for name in nlp.pipe_names]
    assigned = [{*meta.assigns, meta.factory} for meta in metas]
    found = {attribute for each in assigned for attribute in each - {"doc.spans"}}
    if any("doc.spans" in each and each.isdisjoint(("doc.ents", "bert_qa", SEGMENTS)) for each in assigned):
        found.add("doc.spans")
    return tuple(answer for answer, (attribute, _) in _ANSWERS.items() if attribute in found)


def list_entity_groups(nlp: Language) -> tuple[str, ...]:
    """List the groups in `doc.spans` that hold the entities of `doc.ents`: they have the names of components."""
    return tuple(name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns)


def read_answers(doc: Doc, answers: Mapping[str, str], entity_groups: Collection[str] = ()) -> dict[str, Any]:
    """Read the predictions of a document.

    Args:
        doc: The document.
        answers: The column of each of `ents`, `cats`, `spans`, `tags`, `answers` that is wanted.
        entity_groups: Groups in `doc.spans` that hold entities, and are not among the spans.

    Returns:
        By column: entities, tags and answers with their half-open range of characters; spans likewise, by group;
        categories with their probabilities. An entity or a span that has no score has the score None. A document that
        is no pair of texts has None for answers.
    """
    return {column: _ANSWERS[answer][1](doc, entity_groups) for answer, column in answers.items()}


def _read_ents(doc: Doc, entity_groups: Collection[str]) -> list[dict[str, Any]]:
    return list(map(_describe_span, doc.ents, find_scores(doc, doc.ents, entity_groups)))


def _describe_span(span: Span, score: float | None) -> dict[str, Any]:
    return {
        "start": span.start_char,
        "end": span.end_char,
        "label": span.label_,
        "text": span.text,
        "score": None if score is None else round(float(score), _DIGITS),
    }


def _read_spans(doc: Doc, entity_groups: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    return {
        key: [_describe_span(span, score) for span, score in zip_longest(group, group.attrs.get("scores", ()))]
        for key, group in doc.spans.items()
        if key != SEGMENTS and key not in entity_groups and "no_answer" not in group.attrs
    }


def _read_cats(doc: Doc, _: Collection[str]) -> dict[str, float]:
    return {label: round(float(score), _DIGITS) for label, score in doc.cats.items()}


def _read_tags(doc: Doc, _: Collection[str]) -> list[dict[str, Any]]:
    return [
        {"start": token.idx, "end": token.idx + len(token), "tag": token.tag_}
        for token in doc
        if token.tag_ and not token.is_space
    ]


def _read_answers(doc: Doc, _: Collection[str]) -> list[dict[str, Any]] | None:
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
_ANSWERS: dict[str, tuple[str, Callable[[Doc, Collection[str]], Any]]] = {
    "ents": ("doc.ents", _read_ents),
    "cats": ("doc.cats", _read_cats),
    "spans": ("doc.spans", _read_spans),
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
