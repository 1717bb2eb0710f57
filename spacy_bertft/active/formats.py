"""What the pipeline predicts for a text, to be corrected, as an annotation tool reads it: one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spacy.tokens import Doc, Span

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.entity_scores import find_score
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.components.text_classifier import TextClassifier

Format = Literal["prodigy", "label-studio", "doccano"]
FORMATS: tuple[Format, ...] = get_args(Format)

# The names of the tags in a labelling configuration of Label Studio.
SPAN_TAG, CATEGORY_TAG, TEXT_TAG = "label", "category", "text"


@dataclass(frozen=True)
class Suggestion:
    """A text to label next, with what the pipeline predicts for it.

    Attributes:
        doc: The text, as the pipeline has annotated it.
        uncertainty: How uncertain the pipeline is about it, from 0 to 1.
        meta: What else the input says about the text.
        pipeline: Name and version of the pipeline.
        spans: Entities or, where none are asked for, the tags of the tokens; None if it is not about either.
        probs: The probabilities of all categories; None if it is not about categories.
        chosen: The categories that hold, the most probable first.
    """

    doc: Doc
    uncertainty: float
    meta: Mapping[str, object]
    pipeline: str
    spans: tuple[Span, ...] | None
    probs: Mapping[str, float] | None
    chosen: tuple[str, ...]


def make_suggestion(
    doc: Doc, uncertainty: float, meta: Mapping[str, object], pipeline: str, components: Collection[BertComponent]
) -> Suggestion:
    """Make a suggestion of what some components have predicted for a document."""
    classifiers = [component for component in components if isinstance(component, TextClassifier)]
    probs = {label: doc.cats[label] for component in classifiers for label in component.labels}
    chosen = tuple(label for component in classifiers for label in _choose(doc, component))
    spans = _list_spans(doc, components)
    return Suggestion(doc, uncertainty, meta, pipeline, spans, probs if classifiers else None, chosen)


def _list_spans(doc: Doc, components: Collection[BertComponent]) -> tuple[Span, ...] | None:
    if any(isinstance(component, BertNer) for component in components):
        return tuple(doc.ents)
    if any(isinstance(component, BertTagger) for component in components):
        return tuple(Span(doc, token.i, token.i + 1, token.tag) for token in doc if token.tag_ and not token.is_space)
    return None


def _choose(doc: Doc, component: TextClassifier) -> list[str]:
    ranked = sorted(component.labels, key=lambda label: -doc.cats[label])
    if component.exclusive:
        return ranked[:1]
    return [label for label in ranked if doc.cats[label] >= component.cfg["threshold"]]


def format_suggestion(suggestion: Suggestion, file_format: Format) -> dict[str, Any]:
    """Format a suggestion as a JSON object of a tool; the input's other columns are under `meta`."""
    return _FORMATTERS[file_format](suggestion)


def format_prodigy(suggestion: Suggestion) -> dict[str, Any]:
    """Format a task of Prodigy: spans for `ner.manual`, options and what is accepted for the choice interface.

    The last token of a span is included there.
    """
    task: dict[str, Any] = {"text": suggestion.doc.text}
    if suggestion.spans is not None:
        task["tokens"] = [
            {"text": t.text, "start": t.idx, "end": t.idx + len(t), "id": t.i, "ws": bool(t.whitespace_)}
            for t in suggestion.doc
        ]
        task["spans"] = [
            {**_format_bounds(span), "token_start": span.start, "token_end": span.end - 1, "label": span.label_}
            | _format_score(span)
            for span in suggestion.spans
        ]
    if suggestion.probs is not None:
        task["cats"] = dict(suggestion.probs)
        task["options"] = [{"id": label, "text": label} for label in suggestion.probs]
        task["accept"] = list(suggestion.chosen)
    return {**task, **_list_rest(suggestion)}


def format_label_studio(suggestion: Suggestion) -> dict[str, Any]:
    """Format a task of Label Studio, with a prediction for the tags `label` and `category` over `text`."""
    result: list[dict[str, Any]] = []
    for span in suggestion.spans or ():
        value = {**_format_bounds(span), "text": span.text, "labels": [span.label_]}
        result.append({**_name_result(len(result), SPAN_TAG, "labels"), "value": value, **_format_score(span)})
    if suggestion.chosen:
        choices = {"choices": list(suggestion.chosen)}
        result.append({**_name_result(len(result), CATEGORY_TAG, "choices"), "value": choices})
    prediction = {"model_version": suggestion.pipeline, "score": 1 - suggestion.uncertainty, "result": result}
    return {"data": {"text": suggestion.doc.text, **_list_rest(suggestion)}, "predictions": [prediction]}


def format_doccano(suggestion: Suggestion) -> dict[str, Any]:
    """Format an example of doccano: `label` of a project with entities or categories, both names where it has both."""
    spans = [[span.start_char, span.end_char, span.label_] for span in suggestion.spans or ()]
    chosen = list(suggestion.chosen)
    labels: dict[str, Any] = {"label": chosen if suggestion.spans is None else spans}
    if suggestion.spans is not None and suggestion.probs is not None:
        labels = {"entities": spans, "cats": chosen}
    return {"text": suggestion.doc.text, **labels, **_list_rest(suggestion)}


_FORMATTERS: dict[Format, Callable[[Suggestion], dict[str, Any]]] = {
    "prodigy": format_prodigy,
    "label-studio": format_label_studio,
    "doccano": format_doccano,
}


def _format_bounds(span: Span) -> dict[str, Any]:
    return {"start": span.start_char, "end": span.end_char}


def _format_score(span: Span) -> dict[str, Any]:
    score = find_score(span)
    return {} if score is None else {"score": score}


def _list_rest(suggestion: Suggestion) -> dict[str, Any]:
    return {"uncertainty": suggestion.uncertainty, "meta": dict(suggestion.meta)}


def _name_result(number: int, tag: str, kind: str) -> dict[str, str]:
    return {"id": str(number), "from_name": tag, "to_name": TEXT_TAG, "type": kind}
