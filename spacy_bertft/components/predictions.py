"""One record of a prediction: what a component says of a document, how sure it is, and whether that is correct.

Every component with a head lists its own: `pipe.list_predictions(doc)` for a document that the pipeline has annotated,
`pipe.list_predictions(example)` to compare its predicted document with the gold annotation. For categories of any
component, spaCy's own too, call `list_categories`. Whether a prediction is correct is decided here and nowhere else:

- Calibration and reliability: `stack_judged(predictions)` gives probabilities and verdicts as arrays.
- Evaluation: `(each.gold, each.label)` are the pairs of a confusion matrix. Gold entities that were missed are no
  predictions; `read_gold_entities(example).spans` has them.
- Explanation: `confidence` orders predictions; `overlaps` are the gold entities that an entity shares a token with.
- Demo and active learning: without gold annotation, `gold` and `is_correct` are None.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB, IDX, LENGTH
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from spacy_bertft.components.entity_scores import find_score, is_ours
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.training.calibration import CalibrationData

Kind = Literal["entity", "span", "tag", "category", "number", "answer"]

# `(n,)` probabilities and `(n,)` verdicts, of predictions of which the annotation says something.
Judged = tuple[NDArray[np.float64], NDArray[np.bool_]]


@dataclass(frozen=True)
class Prediction:
    """What a component says of a document.

    Attributes:
        component: Name of the component in the pipeline.
        kind: What it is about: `entity`, `span` (which may overlap others), `tag`, `category`, `number` or `answer`.
        label: The label; `""` for a token that got no tag, and for a question without an answer.
        start: First token; None for a category or a number, and for a question without an answer.
        end: One past the last token; None likewise.
        prob: The probability of the label; None for a tag or a number, which have none.
        is_predicted: False only for a category that may hold together with others and is below the threshold: the
            prediction is that the label does not hold.
        gold: The label that the gold annotation has there: for an entity that with the same bounds, for categories that
            exclude each other the gold one, which may be unknown to the pipeline; the text of a gold answer. `""` if it
            is known that there is none, None if nothing is known.
        is_correct: Whether prediction and gold annotation agree; None if nothing is known.
        overlaps: The gold entities that share a token with an entity.
        value: The predicted number; None for anything else.
        gold_value: The number that the gold annotation has; None if it has none.
    """

    component: str
    kind: Kind
    label: str
    start: int | None = None
    end: int | None = None
    prob: float | None = None
    is_predicted: bool = True
    gold: str | None = None
    is_correct: bool | None = None
    overlaps: tuple[TagSpan, ...] = ()
    value: float | None = None
    gold_value: float | None = None

    def find_span(self, doc: Doc) -> Span | None:
        """Return the entity or the token in its document; None for a category."""
        return None if self.start is None or self.end is None else Span(doc, self.start, self.end, self.label)

    @property
    def span(self) -> TagSpan:
        """Where an entity or a tag is, and its label; a category has no place.

        Raises:
            ValueError: It is a category.
        """
        if self.start is None or self.end is None:
            raise ValueError("A category has no place in its document.")
        return TagSpan(self.start, self.end, self.label)

    @property
    def error(self) -> float | None:
        """The predicted number minus the gold one; None where one of them is not known."""
        return None if self.value is None or self.gold_value is None else self.value - self.gold_value

    @property
    def confidence(self) -> float | None:
        """How sure the component is of what it predicts: also that a category does not hold."""
        return 1 - self.prob if self.prob is not None and not self.is_predicted else self.prob

    @property
    def holds(self) -> bool | None:
        """Whether the label holds by the gold annotation: the event whose probability is `prob`."""
        return None if self.is_correct is None else self.is_correct == self.is_predicted


def list_entities(component: str, source: Doc | Example, spans_key: str | None = None) -> list[Prediction]:
    """List the entities or the spans that a component has found, in the order of the text.

    Args:
        component: Its name, which of entities is also that of their group in `doc.spans`.
        source: An annotated document; an example, to compare it with the gold annotation.
        spans_key: Of spans, the name of their group.
    """
    doc, example = _split(source)
    key = component if spans_key is None else spans_key
    if key not in doc.spans or (spans_key is not None and not is_ours(doc.spans[key])):
        return []
    found = read_group(doc, key)
    gold = None
    if example:
        gold = read_gold_entities(example) if spans_key is None else read_gold_spans(example, spans_key)
    kind: Kind = "entity" if spans_key is None else "span"
    return [
        Prediction(component, kind, span.label, span.token_start, span.token_end, prob, True, *_compare(span, gold))
        for span, prob in ((TagSpan(span.start, span.end, span.label_), prob) for span, prob in found)
    ]


def read_group(doc: Doc, key: str) -> list[tuple[Span, float]]:
    """Read a group of `doc.spans` with probabilities; those of its spans where another component has made it anew."""
    group = doc.spans.get(key, SpanGroup(doc))
    probs = group.attrs.get("scores", ())
    if len(probs) != len(group):
        probs = [find_score(span) or 0.0 for span in group]
    return list(zip(group, probs, strict=True))


def list_tags(component: str, source: Doc | Example) -> list[Prediction]:
    """List the tags of all tokens.

    Args:
        component: Name of the component that gave them.
        source: An annotated document; an example, to compare it with the gold annotation.
    """
    doc, example = _split(source)
    gold = example.get_aligned("TAG", as_string=True) if example else [None] * len(doc)
    return [
        Prediction(component, "tag", t.tag_, t.i, t.i + 1, None, True, tag or None, tag == t.tag_ if tag else None)
        for t, tag in zip(doc, gold, strict=True)
    ]


def list_categories(
    component: str, labels: Sequence[str], source: Doc | Example, *, exclusive: bool, threshold: float
) -> list[Prediction]:
    """List the best of categories that exclude each other; of others, each, whether it is predicted or not.

    Args:
        component: Name of the component that gave them.
        labels: Its labels.
        source: An annotated document; an example, to compare it with the gold annotation. A category without a gold
            value is not known; of exclusive ones none is if no value is above 0.
        exclusive: Whether they exclude each other.
        threshold: If not, from which probability on a label is predicted.

    Returns:
        The predictions; empty where the component has not annotated the document.
    """
    doc, example = _split(source)
    cats: Mapping[str, float] = example.reference.cats if example else {}
    if not exclusive:
        held = list_gold_labels(cats, labels, exclusive=False)
        return [
            Prediction(
                component,
                "category",
                label,
                prob=(prob := doc.cats.get(label, 0.0)),  # a later component may have removed what is improbable
                is_predicted=prob >= threshold,
                gold=label * (label in held) if label in cats else None,
                is_correct=(label in held) == (prob >= threshold) if label in cats else None,
            )
            for label in labels
            if label in doc.cats or label in cats
        ]
    best = list_gold_labels(doc.cats, labels, exclusive=True)
    # Every component writes all its labels to `doc.cats`: what is not there is no label of this pipeline.
    unknown = cats.keys() - doc.cats.keys() - set(labels)
    golds = list_gold_labels(cats, labels, exclusive=True) or list_gold_labels(cats, unknown, exclusive=True)
    gold = golds[0] if golds else None
    is_correct = None if gold is None else best == [gold]
    return [
        Prediction(component, "category", label, prob=doc.cats[label], gold=gold, is_correct=is_correct)
        for label in best
    ]


def list_numbers(component: str, labels: Sequence[str], source: Doc | Example) -> list[Prediction]:
    """List the numbers of a document, those that a component has predicted.

    Args:
        component: Name of the component.
        labels: The names of the numbers.
        source: An annotated document; an example, to compare it with the gold annotation.
    """
    doc, example = _split(source)
    gold: Mapping[str, float] = example.reference.cats if example else {}
    return [
        Prediction(component, "number", label, value=doc.cats[label], gold_value=gold.get(label))
        for label in labels
        if label in doc.cats
    ]


def format_caption(prediction: Prediction, doc: Doc) -> str:
    """Format what is predicted of a document, and what the gold annotation has."""
    label = prediction.label
    if prediction.kind == "number":
        return f"{label}: predicted {prediction.value:.4g}, gold {prediction.gold_value:.4g}"
    if prediction.kind == "category":
        predicted = label if prediction.is_predicted else f"not {label}"
        return f"predicted {predicted}, gold {prediction.gold or f'not {label}'}"
    spans = [(prediction.start, prediction.end, label), *prediction.overlaps]
    if prediction.kind == "answer":
        answer = f"“{doc[prediction.start : prediction.end].text}”" if label else "no answer"
        return f"predicted {answer}, gold {prediction.gold or 'no answer'}"
    first, *overlaps = [f"{name} “{doc[start:end].text}”" for start, end, name in spans]
    return f"predicted {first}, gold {', '.join(overlaps) or 'none'}"


def stack_judged(predictions: Iterable[Prediction]) -> Judged:
    """Stack the probabilities of predictions and whether their labels hold, leaving out those that cannot be judged.

    Returns:
        `(n,)` probabilities and `(n,)` verdicts.
    """
    judged = [(each.prob, each.holds) for each in predictions if each.holds is not None and each.prob is not None]
    return np.array([prob for prob, _ in judged]), np.array([holds for _, holds in judged], dtype=np.bool_)


def list_gold_labels(cats: Mapping[str, float], labels: Collection[str], *, exclusive: bool) -> list[str]:
    """List which labels hold, as spaCy's scorer takes gold values.

    Args:
        cats: The values, from 0 to 1. A label without one may hold or not, where labels do not exclude each other.
        labels: Those that are asked for.
        exclusive: Whether only one can hold: that of the highest value, of equal ones the first of the document.
            Otherwise each above 0 holds. All 0 names none.
    """
    held = [label for label, value in cats.items() if label in labels and value > 0]
    return [max(held, key=cats.__getitem__)] if held and exclusive else held


@dataclass(frozen=True)
class GoldEntities:
    """What an example says of the entities of its predicted document, or of a group of its spans.

    Attributes:
        spans: Those that fit the tokens.
        is_known: `(T,)` whether the annotation says anything of a token.
        misaligned: Texts of the entities that do not fit; their tokens are not known.
    """

    spans: list[TagSpan]
    is_known: NDArray[np.bool_]
    misaligned: list[str]


def read_gold_entities(example: Example) -> GoldEntities:
    """Read the entities of the reference in the tokens of the predicted document."""
    if _has_same_tokens(example.predicted, example.reference):
        spans = [TagSpan(ent.start, ent.end, ent.label_) for ent in example.reference.ents]
        iob = example.reference.to_array(ENT_IOB)
        return GoldEntities(spans, iob != 0, [])
    aligned, tags = example.get_aligned_ents_and_ner()
    spans = [TagSpan(ent.start, ent.end, ent.label_) for ent in aligned]
    is_known = np.array([tag is not None for tag in tags], dtype=np.bool_)
    # One by one, since the characters of the two documents may be counted differently.
    misaligned = [ent.text for ent in example.reference.ents if not example.get_aligned_spans_y2x([ent])]
    return GoldEntities(spans, is_known, misaligned)


def read_gold_spans(example: Example, spans_key: str) -> GoldEntities:
    """Read a group of spans of the reference in the tokens of the predicted document; without the group, none is known.

    Args:
        example: An example.
        spans_key: The name of the group.
    """
    is_known = np.full(len(example.predicted), spans_key in example.reference.spans)
    group = example.reference.spans.get(spans_key, [])
    if _has_same_tokens(example.predicted, example.reference):
        return GoldEntities([TagSpan(span.start, span.end, span.label_) for span in group], is_known, [])
    aligned = [(span.text, example.get_aligned_spans_y2x([span], allow_overlap=True)) for span in group]
    spans = [TagSpan(span.start, span.end, span.label_) for _, found in aligned for span in found]
    return GoldEntities(spans, is_known, [text for text, found in aligned if not found])


def is_entity_correct(span: TagSpan, gold: GoldEntities) -> bool | None:
    """Tell whether an entity is correct: both its ends and its label; None where the annotation says nothing."""
    if span in gold.spans:
        return True
    return False if gold.is_known[span.token_start : span.token_end].all() else None


def judge_spans(
    docs: Sequence[Sequence[Prediction]],
    golds: Sequence[GoldEntities],
    compute_probs: Callable[[float], NDArray[np.float64]],
) -> CalibrationData:
    """Check which entities or spans are correct, leaving out those of which nothing is known.

    Args:
        docs: Those of each document.
        golds: What the annotation of each says.
        compute_probs: From a temperature to the probabilities of all of them, `(n,)`, in this order.
    """
    judged = [is_entity_correct(each.span, gold) for doc, gold in zip(docs, golds, strict=True) for each in doc]
    known = np.array([index for index, is_correct in enumerate(judged) if is_correct is not None], dtype=np.intp)
    return CalibrationData(
        compute_probs=lambda temperature: compute_probs(temperature)[known],
        is_correct=np.array([judged[index] for index in known], dtype=np.bool_),
        n_gold=sum(len(gold.spans) for gold in golds),
    )


def _compare(span: TagSpan, gold: GoldEntities | None) -> tuple[str | None, bool | None, tuple[TagSpan, ...]]:
    """Return the gold label with the bounds of an entity, whether the entity is correct, and what it overlaps."""
    if gold is None:
        return None, None, ()
    is_correct = is_entity_correct(span, gold)
    overlaps = tuple(g for g in gold.spans if g.token_start < span.token_end and span.token_start < g.token_end)
    same = [g.label for g in overlaps if g[:2] == span[:2]]
    exact = span.label if span.label in same else "".join(same[:1])
    return exact if is_correct is not None else None, is_correct, overlaps


def _split(source: Doc | Example) -> tuple[Doc, Example | None]:
    return (source.predicted, source) if isinstance(source, Example) else (source, None)


def _has_same_tokens(left: Doc, right: Doc) -> bool:
    return len(left) == len(right) and np.array_equal(left.to_array([IDX, LENGTH]), right.to_array([IDX, LENGTH]))
