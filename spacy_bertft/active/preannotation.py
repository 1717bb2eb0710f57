"""What the pipeline would answer for a text: the annotation that a person then corrects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from spacy.tokens import Doc

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.entity_scores import find_score
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.components.text_component import TextComponent


@dataclass(frozen=True)
class LabelledSpan:
    """A stretch of a text with a label.

    Attributes:
        char_start: Where it starts.
        char_end: Where it ends.
        token_start: Its first token.
        token_end: The token after its last.
        label: Its label.
        score: Its probability, where the pipeline gives one.
    """

    char_start: int
    char_end: int
    token_start: int
    token_end: int
    label: str
    score: float | None


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        text: The token.
        char_start: Where it starts.
        char_end: Where it ends.
        has_space: Whether a space follows.
    """

    text: str
    char_start: int
    char_end: int
    has_space: bool


@dataclass(frozen=True)
class Preannotation:
    """The answer of a pipeline for a text.

    Attributes:
        tokens: The tokens of the text.
        spans: Entities or, where none are asked for, the tags of the tokens; None if it is not about either.
        probs: The probabilities of all categories; None if it is not about categories.
        chosen: The categories that hold, the likeliest first.
    """

    tokens: tuple[Token, ...]
    spans: tuple[LabelledSpan, ...] | None
    probs: Mapping[str, float] | None
    chosen: tuple[str, ...]


def read_preannotation(doc: Doc, components: Collection[BertComponent]) -> Preannotation:
    """Read the answer of some components off a document that the pipeline has annotated.

    Args:
        doc: The document.
        components: The components that matter.
    """
    classifiers = [component for component in components if isinstance(component, TextComponent)]
    probs = {label: doc.cats[label] for component in classifiers for label in component.labels}
    return Preannotation(
        tokens=tuple(Token(t.text, t.idx, t.idx + len(t), bool(t.whitespace_)) for t in doc),
        spans=_read_spans(doc, components),
        probs=probs if classifiers else None,
        chosen=tuple(label for component in classifiers for label in _choose(doc, component)),
    )


def _read_spans(doc: Doc, components: Collection[BertComponent]) -> tuple[LabelledSpan, ...] | None:
    if any(isinstance(component, BertNer) for component in components):
        return tuple(LabelledSpan(e.start_char, e.end_char, e.start, e.end, e.label_, find_score(e)) for e in doc.ents)
    if any(isinstance(component, BertTagger) for component in components):
        return tuple(
            LabelledSpan(t.idx, t.idx + len(t), t.i, t.i + 1, t.tag_, None) for t in doc if t.tag_ and not t.is_space
        )
    return None


def _choose(doc: Doc, component: TextComponent) -> list[str]:
    ranked = sorted(component.labels, key=lambda label: -doc.cats[label])
    if component.exclusive:
        return ranked[:1]
    return [label for label in ranked if doc.cats[label] >= component.cfg["threshold"]]
