"""Which answer of which component is to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_bertft.components.calibration import CalibratedComponent, find_calibrated
from spacy_bertft.components.entity_scores import find_score
from spacy_bertft.components.ner import BertNer
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.explain.readout import CategoryAnswer, EntityAnswer

_SUCH = "such as bert_ner or bert_textcat"


@dataclass(frozen=True)
class Answer:
    """An answer that is to be explained.

    Attributes:
        component: Name of the component that gives it.
        model: The model of that component.
        label: Its label.
        entity: First token of an entity, and one past its last; nothing for a category.
        prob: Its probability; nothing for an entity that the component did not find.
        read: Where the model has it.
    """

    component: str
    model: Any
    label: str
    entity: tuple[int, int] | None
    prob: float | None
    read: CategoryAnswer | EntityAnswer


def find_explained(
    nlp: Language, target: str | Span | None = None, component: str | None = None
) -> tuple[str, CalibratedComponent]:
    """Find the component whose answer is to be explained, and its name.

    Args:
        nlp: The pipeline.
        target: A label or an entity; None for whatever the component answers.
        component: Name of the component; None for the first that has categories, or else entities, and has the label.

    Raises:
        SettingError: The pipeline has no such component, or none with this label.
    """
    ours = find_calibrated(nlp)
    if component is not None and component not in ours:
        expected = f"one of {', '.join(ours)}" if ours else f"a pipeline that has one, {_SUCH}; this has none"
        raise SettingError("component", component, expected)
    if not ours:
        raise SettingError("pipeline", ", ".join(nlp.pipe_names), f"a pipeline with a component of ours, {_SUCH}")
    named = {name: pipe for name, pipe in ours.items() if component in (None, name)}
    fitting = {name: pipe for name, pipe in named.items() if isinstance(pipe, BertNer) or not isinstance(target, Span)}
    ordered = sorted(fitting.items(), key=lambda item: isinstance(item[1], BertNer))  # stable: categories first
    label = target.label_ if isinstance(target, Span) else target
    for name, pipe in ordered:
        if label is None or label in pipe.labels:
            return name, pipe
    known = [label for _, pipe in ordered for label in pipe.labels]
    raise SettingError(
        "target", label, f"one of {', '.join(known)}" if known else "a label: there are no entities here"
    )


def find_answer(nlp: Language, doc: Doc, target: str | Span | None = None, component: str | None = None) -> Answer:
    """Find the answer that is to be explained.

    Args:
        nlp: The pipeline.
        doc: The document.
        target: A label, an entity, or nothing for the most probable category or the first entity.
        component: Name of the component; None for the first that fits.

    Raises:
        SettingError: The pipeline has no such component or label, or the entity is one of another document.
        DataError: There is no such entity in the document.
    """
    name, pipe = find_explained(nlp, target, component)
    if isinstance(pipe, BertNer):
        span = target if isinstance(target, Span) else list_entities(doc, name, target)[0]
        if span.doc is not doc:
            raise SettingError("target", span.text, "a span of the document that is explained")
        place = EntityAnswer(span.start, span.end, partial(pipe.spell, span.label_))
        return Answer(name, pipe.model, span.label_, (span.start, span.end), find_score(span), place)
    [probs] = pipe.predict([doc])
    column = int(probs.argmax()) if target is None else pipe.labels.index(target)
    return Answer(name, pipe.model, pipe.labels[column], None, float(probs[column]), CategoryAnswer(column))


def list_entities(doc: Doc, name: str, label: str | None = None) -> list[Span]:
    """List the entities that a component has found in a document, of one label or of all.

    Raises:
        DataError: There is none.
    """
    found = doc.spans.get(name, doc.ents)
    entities = [entity for entity in found if label in (None, entity.label_)]
    if not entities:
        wanted = "entity" if label is None else f"entity {label}"
        raise DataError(f"{name} has found no {wanted} in {doc.text[:40]!r}, so there is no answer to explain.")
    return entities
