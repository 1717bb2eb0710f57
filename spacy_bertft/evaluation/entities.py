"""How good the entities or spans of a component are: strict F1, the BIO tags of tokens, and types of errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bertft.components.entity_scores import pair_token_tags
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.predictions import read_group, stack_judged
from spacy_bertft.components.spancat import BertSpancat
from spacy_bertft.evaluation.confusion import count_confusions
from spacy_bertft.evaluation.counts import Pair, count_pairs, count_shares
from spacy_bertft.evaluation.results import (
    ComponentResult,
    Excerpt,
    Level,
    PredictionError,
    choose_errors,
    cut_excerpt,
)
from spacy_bertft.pictures.page import Mark
from spacy_bertft.tags.schemes import TagSpan

ErrorType = Literal["correct", "label", "boundary", "label and boundary", "missed", "spurious"]
# The first four from the best match to the worst.
ERROR_TYPES: tuple[ErrorType, ...] = ("correct", "label", "boundary", "label and boundary", "missed", "spurious")


class EntityMatch(NamedTuple):
    """A gold entity and the predicted one that is matched with it.

    Attributes:
        error_type: `correct`; `label`, where only that is wrong; `boundary`, where the label is correct and both share
            a token; `label and boundary`, where they share a token; `missed` and `spurious`, where there is no other.
        gold: Index of the gold entity, or None.
        predicted: Index of the predicted entity, or None.
    """

    error_type: ErrorType
    gold: int | None
    predicted: int | None


def match_entities(gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> list[EntityMatch]:
    """Match entities, each with at most one other: the best matches first, of equal ones those that share most tokens.

    The types but `spurious` sum up to the gold entities, and those but `missed` to the predicted ones.

    Args:
        gold: The gold entities of one document.
        predicted: The entities that were found in it, in the same tokens.

    Returns:
        The matches in the order of the text.

    Source: correct, partial, incorrect, missing and spurious answers of Chinchor & Sundheim (1993), with the incorrect
        ones told apart as in Segura-Bedmar, Martínez & Herrero-Zazo (2013), section 4.
    """
    pairs = sorted(
        (2 * (left[:2] != right[:2]) + (left.label != right.label), -n_shared, i, j)
        for i, left in enumerate(gold)
        for j, right in enumerate(predicted)
        if (n_shared := min(left.token_end, right.token_end) - max(left.token_start, right.token_start)) > 0
    )
    free_gold, free_predicted = set(range(len(gold))), set(range(len(predicted)))
    matches = []
    for rank, _, i, j in pairs:
        if i in free_gold and j in free_predicted:
            free_gold.remove(i)
            free_predicted.remove(j)
            matches.append(EntityMatch(ERROR_TYPES[rank], i, j))
    matches += [EntityMatch("missed", i, None) for i in free_gold]
    matches += [EntityMatch("spurious", None, j) for j in free_predicted]
    return sorted(matches, key=lambda each: _get_place(each, gold, predicted))


def _get_place(match: EntityMatch, gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> TagSpan:
    return gold[match.gold or 0] if match.predicted is None else predicted[match.predicted]


class _Doc(NamedTuple):
    """The entities of one document; predicted ones with their probability, if the gold annotation covers them."""

    example: Example
    gold: list[Span]
    predicted: list[Span]
    probs: list[float]
    matches: list[EntityMatch]

    def get_labels(self, match: EntityMatch) -> Pair:
        """Return the gold and the predicted label."""
        gold = None if match.gold is None else self.gold[match.gold].label_
        return gold, None if match.predicted is None else self.predicted[match.predicted].label_


def measure_entities(
    name: str,
    factory: str,
    pipe: BertNer | BertSpancat,
    examples: Sequence[Example],
    n_errors: int = 0,
    labels_of_other_components: Collection[str] = (),
) -> ComponentResult:
    """Measure the entities that a component has found, or the spans, which may overlap.

    Args:
        name: Its name.
        factory: Its factory.
        pipe: The component.
        examples: Annotated by the pipeline.
        n_errors: How many errors to show.
        labels_of_other_components: Gold entities with these labels are left out.
    """
    spans_key = pipe.key if isinstance(pipe, BertSpancat) else None
    docs = [_match(name, example, labels_of_other_components, spans_key) for example in examples]
    known = [doc for doc in docs if doc]
    labels = sorted({span.label_ for doc in known for span in (*doc.gold, *doc.predicted)} | set(pipe.labels))
    strict = count_pairs(labels, [doc and _list_strict(doc) for doc in docs])
    levels = [Level("entities", strict), _measure_tokens(docs)] if spans_key is None else [Level("spans", strict)]
    matched = [(doc.get_labels(match), match.error_type) for doc in known for match in doc.matches]
    counter = Counter((gold or predicted, error_type) for (gold, predicted), error_type in matched)
    return ComponentResult(
        component=name,
        factory=factory,
        kind="entities" if spans_key is None else "spans",
        levels=tuple(levels),
        confusion=count_confusions(labels, [pair for pair, _ in matched], has_none=True),
        error_types={label: {each: counter[label, each] for each in ERROR_TYPES} for label in labels},
        judged=stack_judged(each for example in examples for each in pipe.list_predictions(example)),
        errors=choose_errors(map(_list_errors, known), n_errors),
        notes=_list_notes(pipe, labels, labels_of_other_components, len(docs) - len(known)),
    )


def _measure_tokens(docs: Sequence[_Doc | None]) -> Level:
    tokens = [doc and pair_token_tags(doc.example, doc.gold, doc.predicted) for doc in docs]
    tags = sorted({tag for doc in tokens for pair in doc or () for tag in pair} - {""})
    is_correct = [None if doc is None else [left == right for left, right in doc] for doc in tokens]
    accuracy_name = "Tokens with the correct BIO tag, including those outside entities"
    return Level("tokens", count_pairs(tags, tokens), count_shares(is_correct), accuracy_name)


def _match(
    name: str, example: Example, labels_of_other_components: Collection[str], spans_key: str | None
) -> _Doc | None:
    reference = example.reference
    has_gold = reference.has_annotation("ENT_IOB") if spans_key is None else spans_key in reference.spans
    if not has_gold:
        return None
    align = example.alignment.x2y
    aligned, predicted, probs = [], [], []
    for span, prob in read_group(example.predicted, spans_key or name):
        # As spaCy's scorer does: what covers no gold token, or one that is not annotated, is neither correct nor wrong.
        tokens = align[span.start : span.end]
        covered = reference[int(tokens[0]) : int(tokens[-1]) + 1] if len(tokens) else ()
        if len(tokens) and (spans_key is not None or all(token.ent_iob for token in covered)):
            aligned.append(TagSpan(int(tokens[0]), int(tokens[-1]) + 1, span.label_))
            predicted.append(span)
            probs.append(prob)
    annotated = reference.ents if spans_key is None else reference.spans[spans_key]
    own = [span for span in annotated if span.label_ not in labels_of_other_components]
    gold = [*{(span.start, span.end, span.label): span for span in own}.values()]  # what is annotated twice is one
    matches = match_entities([TagSpan(ent.start, ent.end, ent.label_) for ent in gold], aligned)
    return _Doc(example, gold, predicted, probs, matches)


def _list_strict(doc: _Doc) -> list[Pair]:
    """List the entities, each correct with both ends and its label, or wrong."""
    pairs: list[Pair] = []
    for match in doc.matches:
        gold, predicted = doc.get_labels(match)
        pairs += [(gold, predicted)] if match.error_type == "correct" else [(gold, None), (None, predicted)]
    return pairs


def _list_errors(doc: _Doc) -> list[PredictionError]:
    errors = []
    for match in doc.matches:
        if match.error_type != "correct" and match.predicted is not None:
            span = doc.predicted[match.predicted]
            gold = None if match.gold is None else doc.gold[match.gold]
            kind, name = ("spurious", "none") if gold is None else (f"wrong {match.error_type}", _name(gold))
            excerpts = (
                _draw("gold", doc.example.reference, doc.gold, span if gold is None else gold),
                _draw("predicted", doc.example.predicted, doc.predicted, span, wrong=span),
            )
            caption = f"{kind}: predicted {_name(span)}, gold {name}"
            errors.append(PredictionError(doc.probs[match.predicted], caption, excerpts))
    return errors


def _name(span: Span) -> str:
    return f"{span.label_} “{span.text}”"


def _draw(caption: str, doc: Doc, spans: Sequence[Span], middle: Span, wrong: Span | None = None) -> Excerpt:
    marks = tuple(Mark(span.start_char, span.end_char, span.label_, is_wrong=span is wrong) for span in spans)
    return cut_excerpt(caption, doc.text, marks, middle.start_char, middle.end_char)


def _list_notes(
    pipe: BertNer | BertSpancat, labels: Sequence[str], labels_of_other_components: Collection[str], n_unknown: int
) -> tuple[str, ...]:
    kind = "spans" if isinstance(pipe, BertSpancat) else "entities"
    unknown, others = sorted(set(labels) - set(pipe.labels)), sorted(labels_of_other_components)
    notes = [
        f"{n_unknown:,} without annotated {kind} left out" * bool(n_unknown),
        f"gold labels that the component does not know: {', '.join(unknown)}" * bool(unknown),
        f"labels of other components left out: {', '.join(others)}" * bool(others),
    ]
    return tuple(filter(None, notes))
