"""A pipeline and a text, or a file of annotated documents → explanations, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.components.predictions import format_caption
from spacy_bertft.components.text_component import is_regressor
from spacy_bertft.data.files import check_is_file
from spacy_bertft.errors import DataError, SettingError, format_count
from spacy_bertft.explanation.attribution import Attribution
from spacy_bertft.explanation.explain import DEFAULT_STEPS, attribute, attribute_predictions, check_explaining
from spacy_bertft.explanation.gradients import Method
from spacy_bertft.explanation.predictions import DocPrediction, choose_predictions, get_explained, list_judged
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import render_template

DEFAULT_LIMIT = 20


class Section(NamedTuple):
    """Explanations under a heading.

    Attributes:
        heading: The heading; may be empty.
        entries: A caption for each explanation, which may be empty, and the explanation.
    """

    heading: str
    entries: Sequence[tuple[str, Attribution]]


def explain(
    pipeline: Path | str,
    text: str,
    html_path: Path | None = None,
    *,
    target: str | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int | None = None,
    limit: int | None = None,
) -> list[Section]:
    """Show which words a prediction of a pipeline rests on.

    Of a text: its best category, or every entity. Of a .spacy file: incorrect predictions, then correct ones; the most
    confident of each label; of numbers, the largest and the smallest errors.

    Args:
        pipeline: A directory, or the name of an installed pipeline.
        text: A text, or a .spacy file with gold annotation, as convert writes it.
        html_path: An .html page to write, with the words shaded.
        target: The label to explain; by default the best category, or else every entity.
        method: gradients (integrated; needs the extra explain), attention, or rollout through all layers.
        component: Name of the component to explain; by default the first with categories, or else entities.
        n_steps: At how many points of the path gradients are taken; by default 64.
        limit: Of a file, how many predictions to explain, half of them incorrect; by default 20.

    Raises:
        DataError: There is no such pipeline or file, or nothing in it to explain.
        SettingError: A setting is outside what is allowed.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    is_file = text.lower().endswith(".spacy")
    if n_steps is not None and method != "gradients":
        raise SettingError("steps", n_steps, "none with this method; only gradients are taken in steps")
    if limit is not None and not is_file:
        raise SettingError("limit", limit, "none for a single text; it is for a .spacy file")
    if limit is not None and limit < 1:
        raise SettingError("limit", limit, "a number from 1 on")
    n_steps = DEFAULT_STEPS if n_steps is None else n_steps
    check_explaining(method, n_steps)
    if html_path is not None and (html_path.suffix != ".html" or html_path.is_dir()):
        raise SettingError("html", str(html_path), "a file whose name ends in .html")
    if is_file:
        check_is_file(Path(text))
    elif not text.strip():
        raise DataError("The text is empty. Expected a text with words, or the path of a .spacy file.")
    nlp = load_pipeline(pipeline)
    name, pipe = get_explained(nlp, target, component)
    title, notes = Path(pipeline).name, ""
    if is_file:
        judged = list_judged(nlp, Path(text), name, pipe, target)
        sections = _explain_judged(nlp, judged, DEFAULT_LIMIT if limit is None else limit, target, method, n_steps)
        title += f" on {Path(text).name}"
        n_incorrect = sum(not prediction.is_correct for _, prediction in judged)
        n_judged = format_count(len(judged), "prediction")
        notes = f"{name}: {n_incorrect:,} incorrect of {n_judged}. The most confident of each label are shown."
        if is_regressor(pipe):
            notes = f"{name}: {n_judged}. The largest and the smallest errors are shown."
    else:
        found = attribute_predictions(nlp, nlp(text), target, method, name, n_steps)
        sections = [Section("", [("", each) for each in found])]
    if html_path is not None:
        values = {"title": title, "is_wide": False, "notes": notes, "has_against": method == "gradients"}
        page = render_template(
            "explanation/page.html.jinja", sections=[each for each in sections if each.entries], **values
        )
        with replace_when_done(html_path) as temporary_path:
            temporary_path.write_text(page, encoding="utf-8")
    return sections


def _explain_judged(
    nlp: Language, judged: Sequence[DocPrediction], limit: int, label: str | None, method: Method, n_steps: int
) -> list[Section]:
    incorrect, correct = choose_predictions(judged, limit)
    first, second = "Incorrect predictions", "Correct predictions"
    if judged[0][1].kind == "number":
        first, second = "Largest errors", "Smallest errors"
    entries = []
    for doc, prediction in tqdm([*incorrect, *correct], "Explaining", unit=" predictions", disable=None):
        span = prediction.find_span(doc)
        target = span if span is not None else label or prediction.label
        found = attribute(nlp, doc, target, method, prediction.component, n_steps)
        entries.append((format_caption(prediction, doc), found))
    return [
        Section(first, entries[: len(incorrect)]),
        Section(second, entries[len(incorrect) :]),
    ]
