"""A suggested text, as an annotation tool reads it: one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spacy_bertft.active.preannotation import LabelledSpan, Preannotation

Format = Literal["prodigy", "label-studio", "doccano"]
FORMATS: tuple[Format, ...] = get_args(Format)

# The names of the tags in a labelling configuration of Label Studio.
SPAN_TAG, CATEGORY_TAG, TEXT_TAG = "label", "category", "text"


@dataclass(frozen=True)
class Suggestion:
    """A text to label next.

    Attributes:
        text: The text.
        uncertainty: How uncertain the pipeline is about it, from 0 to 1.
        meta: What else the input says about the text.
        answer: What the pipeline would answer.
        pipeline: Name and version of the pipeline.
    """

    text: str
    uncertainty: float
    meta: Mapping[str, object]
    answer: Preannotation
    pipeline: str


def format_suggestion(suggestion: Suggestion, file_format: Format) -> dict[str, Any]:
    """Format a suggestion as a JSON object of a tool; the input's other columns are under `meta`."""
    return _FORMATTERS[file_format](suggestion)


def format_prodigy(suggestion: Suggestion) -> dict[str, Any]:
    """Format a task of Prodigy: spans for `ner.manual`, options and what is accepted for the choice interface.

    The last token of a span is included there.
    """
    answer = suggestion.answer
    task: dict[str, Any] = {"text": suggestion.text}
    if answer.spans is not None:
        task["tokens"] = [
            {"text": token.text, "start": token.char_start, "end": token.char_end, "id": number, "ws": token.has_space}
            for number, token in enumerate(answer.tokens)
        ]
        task["spans"] = [_format_span(span) for span in answer.spans]
    if answer.probs is not None:
        task["cats"] = dict(answer.probs)
        task["options"] = [{"id": label, "text": label} for label in answer.probs]
        task["accept"] = list(answer.chosen)
    return {**task, **_list_rest(suggestion)}


def format_label_studio(suggestion: Suggestion) -> dict[str, Any]:
    """Format a task of Label Studio, with a prediction for the tags `label` and `category` over `text`."""
    answer = suggestion.answer
    result: list[dict[str, Any]] = []
    for span in answer.spans or ():
        text = suggestion.text[span.char_start : span.char_end]
        value = {"start": span.char_start, "end": span.char_end, "text": text, "labels": [span.label]}
        score = {} if span.score is None else {"score": span.score}
        result.append({**_name_result(len(result), SPAN_TAG, "labels"), "value": value, **score})
    if answer.chosen:
        result.append({**_name_result(len(result), CATEGORY_TAG, "choices"), "value": {"choices": list(answer.chosen)}})
    prediction = {"model_version": suggestion.pipeline, "score": 1 - suggestion.uncertainty, "result": result}
    return {"data": {"text": suggestion.text, **_list_rest(suggestion)}, "predictions": [prediction]}


def format_doccano(suggestion: Suggestion) -> dict[str, Any]:
    """Format an example of doccano: `label` of a project with entities or categories, both names where it has both."""
    answer = suggestion.answer
    spans = [[span.char_start, span.char_end, span.label] for span in answer.spans or ()]
    labels: dict[str, Any] = {"label": list(answer.chosen) if answer.spans is None else spans}
    if answer.spans is not None and answer.probs is not None:
        labels = {"entities": spans, "cats": list(answer.chosen)}
    return {"text": suggestion.text, **labels, **_list_rest(suggestion)}


_FORMATTERS: dict[Format, Callable[[Suggestion], dict[str, Any]]] = {
    "prodigy": format_prodigy,
    "label-studio": format_label_studio,
    "doccano": format_doccano,
}


def _format_span(span: LabelledSpan) -> dict[str, Any]:
    chars = {"start": span.char_start, "end": span.char_end}
    tokens = {"token_start": span.token_start, "token_end": span.token_end - 1}
    score = {} if span.score is None else {"score": span.score}
    return {**chars, **tokens, "label": span.label, **score}


def _list_rest(suggestion: Suggestion) -> dict[str, Any]:
    return {"uncertainty": suggestion.uncertainty, "meta": dict(suggestion.meta)}


def _name_result(number: int, tag: str, kind: str) -> dict[str, str]:
    return {"id": str(number), "from_name": tag, "to_name": TEXT_TAG, "type": kind}
