"""The page, in Gradio: a text, what to explain, and a column for each pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.spancat import BertSpancat
from spacy_bertft.components.text_component import TextComponent, is_regressor
from spacy_bertft.errors import BertftError, DataError
from spacy_bertft.explanation.explain import attribute_predictions, check_explaining
from spacy_bertft.explanation.gradients import METHODS, Method
from spacy_bertft.explanation.predictions import ExplainedComponent, find_explained, get_explained
from spacy_bertft.pictures.page import Mark, render_template

if TYPE_CHECKING:
    from gradio import Blocks

_EVERYTHING = ("the best category, and every entity", "")
_MAX_EXAMPLE = 90  # characters on a button


@dataclass(frozen=True)
class Question:
    """What a person asks.

    Attributes:
        text: The text.
        method: How predictions are to be explained; None if they are not.
        target: The label whose predictions are to be explained; None for the best category and every entity.
    """

    text: str
    method: Method | None
    target: str | None = None


def build_page(pipelines: Mapping[str, Language], examples: Sequence[str] = ()) -> Blocks:
    """Build the page.

    Args:
        pipelines: The pipelines by the names above their columns.
        examples: Texts to choose from.
    """
    import gradio

    def predict(text: str, method: Method, target: str) -> list[str]:
        return format_answers(pipelines, Question(text, method, target or None))

    pipes = [pipe for nlp in pipelines.values() for pipe in find_explained(nlp).values()]
    labels = dict.fromkeys(label for pipe in pipes for label in pipe.labels)
    targets = [_EVERYTHING, *((label, label) for label in labels)]
    page: Blocks = gradio.Blocks(title=", ".join(pipelines), analytics_enabled=False)
    with page:
        gradio.HTML(render_template("demo/header.html.jinja", names=list(pipelines), has_examples=bool(examples)))
        text = gradio.Textbox(label="Text", lines=1, max_lines=12, autofocus=True)  # of one line, Enter submits it
        with gradio.Row():
            buttons = [gradio.Button(shorten(each, _MAX_EXAMPLE, placeholder="…"), size="sm") for each in examples]
        with gradio.Row(elem_classes="options"):
            default = "gradients" if find_spec("captum") else METHODS[0]
            method = gradio.Radio(list(METHODS), value=default, label="Explain by")
            target = gradio.Dropdown(targets, value="", label="Explain")
        predict_button = gradio.Button("Predict", variant="primary")
        alert = gradio.HTML()
        with gradio.Row(elem_classes="columns"):
            columns = [gradio.HTML(format_column(name, nlp), min_width=320) for name, nlp in pipelines.items()]
        asked, shown = [text, method, target], [alert, *columns]
        gradio.on([predict_button.click, text.submit], predict, asked, shown, api_visibility="private")
        for button, example in zip(buttons, examples, strict=True):
            chosen = button.click(partial(str, example), None, text, api_visibility="private")
            chosen.then(predict, asked, shown, api_visibility="private")
    return page


def format_answers(pipelines: Mapping[str, Language], question: Question) -> list[str]:
    """Format what is wrong for all pipelines, or nothing, and the column of each.

    Args:
        pipelines: The pipelines by the names above their columns.
        question: What a person asks.
    """
    error, asked = "", replace(question, method=None)
    try:
        _check_text(question.text, min(nlp.max_length for nlp in pipelines.values()))
    except DataError as raised:
        return [_format_alert(raised), *(format_column(name, nlp) for name, nlp in pipelines.items())]
    if question.method is not None:
        try:
            check_explaining(question.method)
            asked = question
        except BertftError as raised:  # what is predicted is shown all the same
            error = _format_alert(raised)
    return [error, *(format_column(name, nlp, asked) for name, nlp in pipelines.items())]


def format_column(name: str, nlp: Language, question: Question | None = None) -> str:
    """Format what each component of ours in a pipeline predicts, and why; without a question, the name alone.

    What cannot be explained is one line in its place.

    Args:
        name: The heading.
        nlp: The pipeline.
        question: What a person asks.
    """
    parts: list[dict[str, Any]] = []
    error = text = ""
    if question is not None:
        try:
            doc = nlp(question.text)
            text = doc.text
            parts = [
                _explain(nlp, doc, each, pipe, question)
                for each, pipe in nlp.pipeline
                if isinstance(pipe, (BertNer, BertSpancat, TextComponent))
            ]
            if question.target is not None or not parts:
                get_explained(nlp, question.target)  # raises if only another pipeline has the label
        except BertftError as raised:
            error = _format_error(raised)
    has_against = question is not None and question.method == "gradients"
    values = {"name": name, "error": error, "text": text, "parts": parts, "has_against": has_against}
    return render_template("demo/column.html.jinja", **values)


def _check_text(text: str, max_length: int) -> None:
    if not text.strip():
        raise DataError("The text is empty. Expected a text with words.")
    if len(text) > max_length:
        raise DataError(f"The text has {len(text):,} characters. Expected {max_length:,} at most.")


def _explain(
    nlp: Language, doc: Doc, name: str, pipe: ExplainedComponent | BertSpancat, question: Question
) -> dict[str, Any]:
    part: dict[str, Any] = {
        "component": name,
        "marks": None,
        "probs": [],
        "numbers": [],
        "attributions": [],
        "error": "",
    }
    if isinstance(pipe, BertNer):
        part["marks"] = [
            Mark(span.start_char, span.end_char, each.label, f"{100 * (each.prob or 0.0):.1f} %")
            for each in pipe.list_predictions(doc)
            if (span := each.find_span(doc)) is not None
        ]
    elif is_regressor(pipe):
        part["numbers"] = [(label, f"{doc.cats[label]:.4g}") for label in pipe.labels]
    elif isinstance(pipe, BertSpancat):  # spans over each other cannot be marked
        found = pipe.list_predictions(doc)
        part["probs"] = [(f"{each.label} “{each.find_span(doc)}”", each.prob or 0.0) for each in found]
        return part
    else:
        part["probs"] = sorted(((label, doc.cats[label]) for label in pipe.labels), key=lambda pair: -pair[1])
    # That there is no entity to explain can be seen, unless one of a label was asked for.
    is_empty = part["marks"] == [] and question.target is None
    if question.method is not None and question.target in (None, *pipe.labels) and not is_empty:
        try:
            part["attributions"] = attribute_predictions(nlp, doc, question.target, question.method, name)
        except BertftError as error:
            part["error"] = _format_error(error)
    return part


def _format_alert(error: BertftError) -> str:
    values = {"name": "", "error": _format_error(error), "text": "", "parts": [], "has_against": False}
    return render_template("demo/column.html.jinja", **values)


def _format_error(error: BertftError) -> str:
    return " ".join(str(error).split())
