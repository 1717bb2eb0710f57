"""A document and an answer → how much each word weighs."""

from __future__ import annotations

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_bertft.components.ner import BertNer
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.errors import SettingError
from spacy_bertft.explain.answers import find_answer, find_explained, list_entities
from spacy_bertft.explain.attribution import METHODS, Attribution, Method
from spacy_bertft.explain.gradients import check_method, weigh_tokens

DEFAULT_STEPS = 64


def attribute(
    nlp: Language,
    doc: Doc,
    target: str | Span | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
) -> Attribution:
    """Weigh the words of a document in an answer of a pipeline.

    The windows of a long text are explained each by itself, and the weights added up as their scores are. See
    `models.attribution.weigh_tokens` for what the methods compute.

    Args:
        nlp: The pipeline.
        doc: A document. For entities that it has annotated; for categories its tokens will do.
        target: A label of a category, by default the most probable one; an entity, as a span of the document with a
            label; or a label of an entity, for the first one of that label.
        method: `attention`, `rollout` or `gradients`, which needs the extra `explain`.
        component: Name of the component; by default the first that has categories, or else entities, and the label.
        n_steps: For gradients, at how many points of the path they are taken.

    Raises:
        SettingError: There is no such component, label, method or number of steps, or the span is of another document.
        DataError: There is no such entity in the document.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    check_explaining(method, n_steps)
    answer = find_answer(nlp, doc, target, component)
    found = weigh_tokens(answer.model, doc, answer.read, method, n_steps)
    return Attribution(
        words=tuple(token.text for token in doc),
        spaces=tuple(token.whitespace_ for token in doc),
        weights=found.weights,
        target=answer.label,
        entity=answer.entity,
        component=answer.component,
        method=method,
        prob=answer.prob,
        score=found.score,
        baseline_score=found.baseline_score,
        outside=found.outside,
    )


def attribute_entities(
    nlp: Language,
    doc: Doc,
    label: str | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
) -> list[Attribution]:
    """Weigh the words of a document in each entity that was found in it, or in each of one label; see `attribute`.

    Raises:
        SettingError: As in `attribute`; or the component that has the label finds no entities.
        DataError: There is no such entity in the document.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    name, pipe = find_explained(nlp, label, component)
    if not isinstance(pipe, BertNer):
        raise SettingError("component", name, "a component that finds entities, such as bert_ner")
    entities = list_entities(doc, name, label)
    return [attribute(nlp, doc, entity, method, name, n_steps) for entity in entities]


def attribute_answers(
    nlp: Language,
    doc: Doc,
    label: str | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
) -> list[Attribution]:
    """Weigh the words of a document in what a component answers: one category, or each entity; see `attribute`.

    Raises:
        SettingError: As in `attribute`.
        DataError: There is no such entity in the document.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    name, pipe = find_explained(nlp, label, component)
    if isinstance(pipe, BertNer):
        return attribute_entities(nlp, doc, label, method, name, n_steps)
    return [attribute(nlp, doc, label, method, name, n_steps)]


def check_explaining(method: Method, n_steps: int = DEFAULT_STEPS) -> None:
    """Check what is set, before any work is done for it.

    Raises:
        SettingError: There is no such method or number of steps.
        MissingExtraError: Captum is not installed.
    """
    parse_choice("method", method, METHODS)
    if n_steps < 1:
        raise SettingError("n_steps", n_steps, "a number from 1 on")
    check_method(method)
