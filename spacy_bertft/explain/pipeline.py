"""A pipeline and a text, or a file of annotated documents → explanations, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.data.files import check_is_file
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.explain.answers import find_explained
from spacy_bertft.explain.attribution import Attribution, Method
from spacy_bertft.explain.explain import DEFAULT_STEPS, attribute, attribute_answers, check_explaining
from spacy_bertft.explain.judged import JudgedAnswer, choose_answers, judge_answers
from spacy_bertft.explain.page import Section, check_page, write_page

DEFAULT_LIMIT = 20


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

    Of a text: its best category, or every entity. Of a .spacy file: wrong predictions, the most confident first, then
    correct ones.

    Args:
        pipeline: A directory, or the name of an installed pipeline.
        text: A text, or a .spacy file with gold annotation, as convert writes it.
        html_path: An .html page to write, with the words shaded.
        target: The label to explain; by default the best category, or else every entity.
        method: gradients (integrated; needs the extra explain), attention, or rollout through all layers.
        component: Name of the component to explain; by default the first with categories, or else entities.
        n_steps: At how many points of the path gradients are taken; by default 64.
        limit: Of a file, how many predictions to explain, half of them wrong; by default 20.

    Raises:
        DataError: There is no such pipeline or file, or nothing in it to explain.
        SettingError: A setting is outside what is allowed.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    if n_steps is not None and method != "gradients":
        raise SettingError("steps", n_steps, "none with this method; only gradients are taken in steps")
    options: dict[str, Any] = {"target": target, "method": method, "component": component}
    options["n_steps"] = DEFAULT_STEPS if n_steps is None else n_steps
    if text.lower().endswith(".spacy"):
        return explain_data(pipeline, Path(text), html_path, limit=DEFAULT_LIMIT if limit is None else limit, **options)
    if limit is not None:
        raise SettingError("limit", limit, "none for a single text; it is for a .spacy file")
    return [Section("", [("", found) for found in explain_text(pipeline, text, html_path, **options)])]


def explain_text(
    pipeline: Path | str,
    text: str,
    html_path: Path | None = None,
    *,
    target: str | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
) -> list[Attribution]:
    """Explain what a pipeline answers for a text: a category, or every entity.

    Args:
        pipeline: A folder, or the name of an installed pipeline.
        text: The text.
        html_path: A page to write.
        target: A label; by default the most probable category or, where there are none, every entity.
        method: `attention`, `rollout` or `gradients`.
        component: Name of the component.
        n_steps: For gradients, at how many points of the path they are taken.

    Raises:
        DataError: There is no such pipeline, no word in the text, or no such entity in it.
        SettingError: There is no such component, label, method or number of steps, or the page is not to be written
            there.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    check_explaining(method, n_steps)
    _check_html(html_path)
    if not text.strip():
        raise DataError("The text is empty. Expected a text with words, or the path of a .spacy file.")
    nlp = load_pipeline(pipeline)
    name, _ = find_explained(nlp, target, component)
    doc = nlp(text)
    found = attribute_answers(nlp, doc, target, method, name, n_steps)
    if html_path is not None:
        write_page(html_path, Path(pipeline).name, "", [Section("", [("", each) for each in found])])
    return found


def explain_data(
    pipeline: Path | str,
    data_path: Path,
    html_path: Path | None = None,
    *,
    target: str | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
    limit: int = DEFAULT_LIMIT,
) -> list[Section]:
    """Explain wrong and right answers of a pipeline, the most confident of each.

    Args:
        pipeline: A folder, or the name of an installed pipeline.
        data_path: A `.spacy` file with gold annotation.
        html_path: A page to write.
        target: Only answers that give this label, or should.
        method: `attention`, `rollout` or `gradients`.
        component: Name of the component.
        n_steps: For gradients, at how many points of the path they are taken.
        limit: How many answers to explain: half of them wrong, half of them right, where there are enough.

    Returns:
        The wrong answers, then the right ones.

    Raises:
        DataError: There is no such pipeline or file, or no gold annotation in it.
        SettingError: There is no such component, label, method or number of steps or answers, or the page is not to be
            written there.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    check_explaining(method, n_steps)
    if limit < 1:
        raise SettingError("limit", limit, "a number from 1 on")
    _check_html(html_path)
    check_is_file(data_path)
    nlp = load_pipeline(pipeline)
    name, pipe = find_explained(nlp, target, component)
    answers = judge_answers(nlp, data_path, name, pipe, target)
    wrong, right = choose_answers(answers, limit)
    n_wrong = sum(not answer.is_right for answer in answers)
    with tqdm(total=len(wrong) + len(right), desc="Explaining", unit=" answers", disable=None) as bar:
        sections = [
            Section(heading, _explain(nlp, chosen, name, method, n_steps, bar))
            for heading, chosen in (("Wrong answers", wrong), ("Right answers", right))
        ]
    if html_path is not None:
        title = f"{Path(pipeline).name} on {data_path.name}"
        notes = f"{name}: {n_wrong:,} of {len(answers):,} answers are wrong. The most confident come first."
        write_page(html_path, title, notes, [section for section in sections if section.entries])
    return sections


def _check_html(path: Path | None) -> None:
    if path is not None:
        check_page(path)


def _explain(
    nlp: Language, answers: Sequence[JudgedAnswer], name: str, method: Method, n_steps: int, bar: tqdm[None]
) -> list[tuple[str, Attribution]]:
    entries = []
    for answer in answers:
        caption = f"predicted {answer.predicted}, gold {answer.gold}"
        entries.append((caption, attribute(nlp, answer.doc, answer.target, method, name, n_steps)))
        bar.update()
    return entries
