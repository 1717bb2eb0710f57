"""The page, in Gradio: a text, what to explain, and a column for each pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.components.calibration import CalibratedComponent, find_calibrated
from spacy_bertft.components.ner import BertNer
from spacy_bertft.errors import BertftError, DataError
from spacy_bertft.explain.explain import attribute_predictions
from spacy_bertft.explain.gradients import METHODS, Method
from spacy_bertft.explain.predictions import get_explained
from spacy_bertft.pictures.page import Mark, render_template

if TYPE_CHECKING:
    from gradio import Blocks

_EVERYTHING = ("the best category, and every entity", "")


@dataclass(frozen=True)
class Question:
    """What a person asks.

    Attributes:
        text: The text.
        method: How predictions are to be explained.
        target: The label whose predictions are to be explained; None for the best category and every entity.
    """

    text: str
    method: Method
    target: str | None = None


def build_page(pipelines: Mapping[str, Language]) -> Blocks:
    """Build the page.

    Args:
        pipelines: The pipelines by the names above their columns.
    """
    import gradio

    def predict(text: str, method: Method, target: str) -> list[str]:
        question = Question(text, method, target or None)
        return [format_column(name, nlp, question) for name, nlp in pipelines.items()]

    pipes = [pipe for nlp in pipelines.values() for pipe in find_calibrated(nlp).values()]
    labels = dict.fromkeys(label for pipe in pipes for label in pipe.labels)
    targets = [_EVERYTHING, *((label, label) for label in labels)]
    page: Blocks = gradio.Blocks(title=", ".join(pipelines), analytics_enabled=False)
    with page:
        text = gradio.Textbox(label="Text", lines=2, max_lines=12, autofocus=True)
        with gradio.Row():
            method = gradio.Radio(list(METHODS), value=METHODS[0], label="Explain by")
            target = gradio.Dropdown(targets, value="", label="Explain")
        button = gradio.Button("Predict", variant="primary")
        with gradio.Row():
            columns = [gradio.HTML(format_column(name, nlp), min_width=320) for name, nlp in pipelines.items()]
        # A text of several lines is submitted with Shift + Enter.
        gradio.on([button.click, text.submit], predict, [text, method, target], columns, api_visibility="private")
    return page


def format_column(name: str, nlp: Language, question: Question | None = None) -> str:
    """Format what each component of ours in a pipeline predicts, and why; without a question, the name alone.

    An error is shown as one line, at the place of what it prevents.

    Args:
        name: The heading.
        nlp: The pipeline.
        question: What a person asks.
    """
    parts: list[dict[str, Any]] = []
    error = text = ""
    if question is not None:
        try:
            doc = _read(nlp, question.text)
            text = doc.text
            parts = [_explain(nlp, doc, *pipe, question) for pipe in find_calibrated(nlp).items()]
            get_explained(nlp, question.target)  # raises if only another pipeline has the label
        except BertftError as raised:
            error = _format_error(raised)
    has_against = question is not None and question.method == "gradients"
    values = {"name": name, "error": error, "text": text, "parts": parts, "has_against": has_against}
    return render_template("demo/column.html.jinja", **values)


def _read(nlp: Language, text: str) -> Doc:
    if not text.strip():
        raise DataError("The text is empty. Expected a text with words.")
    if len(text) > nlp.max_length:
        raise DataError(f"The text has {len(text):,} characters. Expected {nlp.max_length:,} at most.")
    return nlp(text)


def _explain(nlp: Language, doc: Doc, name: str, pipe: CalibratedComponent, question: Question) -> dict[str, Any]:
    part: dict[str, Any] = {"component": name, "marks": None, "probs": [], "attributions": [], "error": ""}
    if isinstance(pipe, BertNer):
        part["marks"] = [
            Mark(span.start_char, span.end_char, f"{each.label} {100 * (each.prob or 0.0):.1f} %")
            for each in pipe.list_predictions(doc)
            if (span := each.find_span(doc)) is not None
        ]
    else:
        part["probs"] = sorted(((label, doc.cats[label]) for label in pipe.labels), key=lambda pair: -pair[1])
    if question.target in (None, *pipe.labels):
        try:
            part["attributions"] = attribute_predictions(nlp, doc, question.target, question.method, name)
        except BertftError as error:
            part["error"] = _format_error(error)
    return part


def _format_error(error: BertftError) -> str:
    return " ".join(str(error).split())
