"""A document and a prediction → how much each word weighs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_bertft.components.entity_scores import find_scores
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.regressor import BertRegressor
from spacy_bertft.components.text_component import is_regressor
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.explanation.attribution import Attribution
from spacy_bertft.explanation.gradients import METHODS, Method, weigh_tokens
from spacy_bertft.explanation.predictions import get_explained, list_entities
from spacy_bertft.explanation.readout import EntityTarget

DEFAULT_STEPS = 64


def attribute(
    nlp: Language,
    doc: Doc,
    target: str | Span | None = None,
    method: Method = "gradients",
    component: str | None = None,
    n_steps: int = DEFAULT_STEPS,
) -> Attribution:
    """Weigh the words of a document in a prediction of a pipeline.

    The windows of a long text are explained separately, and their weights combined as their scores are. See
    `explain.gradients.weigh_tokens` for what the methods compute.

    Args:
        nlp: The pipeline.
        doc: A document. For entities it has to be annotated by the pipeline; for categories its tokens will do.
        target: A label of a category, by default the most probable one; the name of a number; an entity, as a span of
            the document with a label; or a label of an entity, for the first one of that label.
        method: `attention`, `rollout` or `gradients`, which needs the extra `explain`.
        component: Name of the component; by default the first that has categories, or else entities, and the label.
        n_steps: For gradients, at how many points of the path they are computed.

    Raises:
        SettingError: There is no such component, label, method or number of steps, or the span is of another document.
        DataError: There is no such entity in the document.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    check_explaining(method, n_steps)
    name, pipe = get_explained(nlp, target, component)
    entity: tuple[int, int] | None = None
    prob: float | None
    value: float | None = None
    read: int | EntityTarget
    if isinstance(pipe, BertNer):
        span = target if isinstance(target, Span) else list_entities(doc, name, target)[0]
        if span.doc is not doc:
            raise SettingError("target", span.text, "a span of the document that is explained")
        label, entity, [prob] = span.label_, (span.start, span.end), find_scores(doc, [span], [name])
        read = EntityTarget(span.start, span.end, partial(pipe.spell, label))
    else:
        if target is None and is_regressor(pipe) and len(pipe.labels) > 1:
            raise SettingError("target", None, f"one of the numbers {', '.join(pipe.labels)}")
        [values] = pipe.predict([doc])
        column = int(values.argmax()) if target is None else pipe.labels.index(target)
        label, prob, read = pipe.labels[column], float(values[column]), column
    found = weigh_tokens(pipe.model, doc, read, method, n_steps)
    if isinstance(pipe, BertRegressor):
        value, prob = prob, None
        mean, deviation = (pipe.cfg[key][pipe.labels.index(label)] for key in ("means", "deviations"))
        found = found.rescale(deviation, mean)
    return Attribution(
        words=tuple(token.text for token in doc),
        spaces=tuple(token.whitespace_ for token in doc),
        target=label,
        entity=entity,
        component=name,
        method=method,
        prob=prob,
        value=value,
        **found._asdict(),
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
    name, pipe = get_explained(nlp, label, component)
    if not isinstance(pipe, BertNer):
        raise SettingError("component", name, "a component that finds entities, such as bert_ner")
    return attribute_predictions(nlp, doc, label, method, name, n_steps)


def attribute_predictions(
    nlp: Language, doc: Doc, label: str | None, method: Method, component: str, n_steps: int = DEFAULT_STEPS
) -> list[Attribution]:
    """Weigh the words of a document in what a component predicts: one category, each number or entity; see `attribute`.

    Raises:
        SettingError: As in `attribute`.
        DataError: There is no such entity in the document.
        UnsupportedError: The encoder cannot be explained in this way.
        MissingExtraError: Captum is not installed.
    """
    name, pipe = get_explained(nlp, label, component)
    targets: Sequence[str | Span | None] = [label]
    if isinstance(pipe, BertNer):
        targets = list_entities(doc, name, label)
    elif label is None and is_regressor(pipe):
        targets = pipe.labels
    return [attribute(nlp, doc, target, method, name, n_steps) for target in targets]


def check_explaining(method: Method, n_steps: int = DEFAULT_STEPS) -> None:
    """Check what is set, before any work is done for it.

    Raises:
        SettingError: There is no such method or number of steps.
        MissingExtraError: Captum is not installed.
    """
    parse_choice("method", method, METHODS)
    if n_steps < 1:
        raise SettingError("n_steps", n_steps, "a number from 1 on")
    if method == "gradients":
        try:
            import captum.attr  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("The method gradients", "explain") from error
