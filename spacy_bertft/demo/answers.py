"""A pipeline and a text → its answers and what they rest on, as a piece of a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.components.calibration import find_calibrated
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.errors import BertftError, DataError
from spacy_bertft.explain import Method, render
from spacy_bertft.explain.answers import find_explained
from spacy_bertft.explain.explain import attribute_answers, check_explaining
from spacy_bertft.explain.fragment import format_legend
from spacy_bertft.pictures.entities import Mark, format_entities


@dataclass(frozen=True)
class Question:
    """What a person asks.

    Attributes:
        text: The text.
        method: How answers are to be explained.
        target: The label whose answers are to be explained; None for the best category and every entity.
    """

    text: str
    method: Method
    target: str | None = None


def format_answers(nlp: Language, question: Question) -> str:
    """Let a pipeline answer, and draw what each component of ours says and why.

    What cannot be answered or explained is said in a line in its place.
    """
    try:
        doc = _read(nlp, question.text)
    except BertftError as error:
        return _format_error(error)
    return "\n".join(_format_parts(nlp, doc, question))


def _read(nlp: Language, text: str) -> Doc:
    if not text.strip():
        raise DataError("The text is empty. Expected a text with words.")
    if len(text) > nlp.max_length:
        raise DataError(f"The text has {len(text):,} characters. Expected {nlp.max_length:,} at most.")
    return nlp(text)


def _format_parts(nlp: Language, doc: Doc, question: Question) -> Iterator[str]:
    try:
        find_explained(nlp, question.target)
    except BertftError as error:  # another pipeline beside this one has the label
        yield _format_error(error)
    for name, pipe in find_calibrated(nlp).items():
        yield f"<h3>{escape(name)}</h3>"
        yield _format_entities(doc, name) if isinstance(pipe, BertNer) else _format_bars(doc, pipe)
        if question.target in (None, *pipe.labels):
            yield _format_explanation(nlp, doc, name, question)


def _format_entities(doc: Doc, name: str) -> str:
    group = doc.spans[name]
    marks = [
        Mark(span.start_char, span.end_char, f"{span.label_} {_format_prob(prob)}")
        for span, prob in zip(group, group.attrs["scores"], strict=True)
    ]
    return format_entities(doc.text, marks)


def _format_bars(doc: Doc, pipe: TextComponent) -> str:
    rows = [
        f'<tr><th scope="row">{escape(label)}</th><td>{_format_prob(doc.cats[label])}</td>'
        f'<td class="track"><div style="width: {100 * doc.cats[label]:.2f}%"></div></td></tr>'
        for label in sorted(pipe.labels, key=doc.cats.__getitem__, reverse=True)
    ]
    return f'<table class="bars">{"".join(rows)}</table>'


def _format_explanation(nlp: Language, doc: Doc, name: str, question: Question) -> str:
    try:
        check_explaining(question.method)
        found = attribute_answers(nlp, doc, question.target, question.method, name)
    except BertftError as error:
        return _format_error(error)
    legend = format_legend(has_against=question.method == "gradients")
    return f'<div class="legend">Why: {legend}</div>\n{render(found)}'


def _format_prob(prob: float) -> str:
    return f"{100 * prob:.1f} %"


def _format_error(error: BertftError) -> str:
    return f'<p class="note" role="alert">{escape(" ".join(str(error).split()))}</p>'
