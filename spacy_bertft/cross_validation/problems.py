"""What pipelines predict of documents that they did not see, against gold annotation → where that may be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from spacy_bertft.components.predictions import list_entities, list_gold_labels, list_tags, read_gold_entities
from spacy_bertft.distillation.teachers import TagTargets
from spacy_bertft.tags.grammar import build_grammar, guess_tag_scheme
from spacy_bertft.tags.schemes import TagSpan, write_tags

Kind = Literal["missing", "spurious", "boundary", "label", "label and boundary", "tag", "category"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """Where the gold annotation of a document is improbable.

    Attributes:
        doc: The number of the document, from 0.
        component: The component that predicts something else.
        kind: `missing`, where nothing is annotated; `spurious`, where nothing is predicted; `boundary` and `label`,
            where these differ; a `tag`; a `category` of those that exclude each other.
        gold: What is annotated: spans of tokens of the predicted document; a category has no tokens.
        predicted: What is predicted instead.
        score: How improbable the annotation is, from 0 to 1.
        is_confident: Whether what is predicted is as probable as it is on average where it is annotated.
    """

    doc: int
    component: str
    kind: Kind
    gold: tuple[TagSpan, ...]
    predicted: tuple[TagSpan, ...]
    score: float = 0.0
    is_confident: bool = False

    @property
    def label(self) -> str:
        """The label that is annotated or, where none is, predicted."""
        return (self.gold or self.predicted)[0].label


# A problem without a score, and the rows of the probabilities that it is about.
Unscored = tuple[Problem, Sequence[int]]


def compute_score(gold: Floats, predicted: Floats) -> float:
    """Compute how improbable gold annotation is: the normalized margin of the token that speaks least against it.

    Each of a few rankings puts about the same share of planted errors among as many problems as were planted; by this
    one more of the first ones are errors, of all kinds (`benchmarks/audit.py`). cleanlab has a normalized margin too,
    of single tokens: it knows no spans, so that a problem is in several places, and none has a kind.

    Args:
        gold: `(n,)` probabilities of the gold tags of tokens where another one is predicted.
        predicted: `(n,)` those of the predicted tags.
    """
    return float((1 + (predicted - gold).min()) / 2)


def score_problems(
    found: Iterable[Unscored],
    probs: Floats,
    gold: Sequence[int],
    predicted: Sequence[int],
    labels: Sequence[str],
) -> Iterator[Problem]:
    """Give problems their scores. Those of tokens that have no probabilities, such as whitespace, are left out.

    Args:
        found: The problems.
        probs: `(T, L)` probabilities of tags or categories, of each token or document; NaN where there are none.
        gold: `(T,)` columns of what is annotated, −1 where nothing is known.
        predicted: `(T,)` columns of what is predicted.
        labels: `(L,)` the label of each column.

    Source: Northcutt, Jiang & Chuang (2021), section 3.1: a prediction counts if its probability is at least the mean
        of its class where that is annotated. Here the tags of a label are a class, and all tokens of a span count.
    """
    gold_columns, rows = np.asarray(gold, dtype=np.intp), np.arange(len(probs))
    of_gold, of_predicted = probs[rows, gold_columns], probs[rows, predicted]  # (T,)
    is_known = (gold_columns >= 0) & ~np.isnan(of_gold)
    _, classes = np.unique([*labels], return_inverse=True)  # (L,)
    counts = np.bincount(classes[gold_columns[is_known]], minlength=len(classes))
    sums = np.bincount(classes[gold_columns[is_known]], of_gold[is_known], minlength=len(classes))
    thresholds = np.divide(sums, counts, where=counts > 0, out=np.full(len(sums), np.inf))
    is_confident = of_predicted >= thresholds[classes[predicted]]
    for problem, own in found:
        here = [row for row in own if is_known[row]]
        if here:
            score = compute_score(of_gold[here], of_predicted[here])
            yield replace(problem, score=score, is_confident=bool(is_confident[here].all()))


def find_entity_problems(component: str, examples: Sequence[Example], targets: TagTargets) -> Iterator[Problem]:
    """Find improbable entities. Where annotation is missing or does not fit the tokens, nothing is said.

    An entity that another component has found, and found right, is none of its problems.

    Args:
        component: Name of the component.
        examples: Predicted documents with gold annotation.
        targets: The logarithm of the probabilities of the tags of their tokens.
    """
    scheme = guess_tag_scheme(targets.tags)
    labels = build_grammar(targets.tags, scheme).labels
    column = {tag: index for index, tag in enumerate(targets.tags)}
    found: list[Unscored] = []
    gold_columns: list[int] = []
    predicted_columns: list[int] = []
    for number, example in enumerate(examples):
        annotated = read_gold_entities(example)
        predicted = [each.span for each in list_entities(component, example.predicted)]
        kept = {TagSpan(ent.start, ent.end, ent.label_) for ent in example.predicted.ents}.difference(predicted)
        gold = [span for span in annotated.spans if span.label in labels and span not in kept]
        own, other = (
            [column[tag] for tag in write_tags(spans, len(example.predicted), scheme)] for spans in (gold, predicted)
        )
        for group in _group_overlapping({*gold} ^ {*predicted}):
            tokens = range(group[0].token_start, max(span.token_end for span in group))
            if annotated.is_known[tokens].all():
                left, right = (tuple(span for span in group if span in spans) for spans in (gold, predicted))
                rows = [len(gold_columns) + token for token in tokens if own[token] != other[token]]
                found.append((Problem(number, component, _name_kind(left, right), left, right), rows))
        gold_columns += np.where(annotated.is_known, own, -1).tolist()
        predicted_columns += other
    return score_problems(found, np.exp(targets.scores), gold_columns, predicted_columns, labels)


def _group_overlapping(spans: Iterable[TagSpan]) -> list[list[TagSpan]]:
    """Group spans that overlap, also by way of others."""
    groups: list[list[TagSpan]] = []
    end = 0
    for span in sorted(spans):
        if span.token_start >= end:
            groups.append([])
        groups[-1].append(span)
        end = max(end, span.token_end)
    return groups


def _name_kind(gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> Kind:
    if not gold or not predicted:
        return "spurious" if gold else "missing"
    if [span[:2] for span in gold] == [span[:2] for span in predicted]:
        return "label"
    has_same_label = {span.label for span in gold} == {span.label for span in predicted}
    return "boundary" if has_same_label else "label and boundary"


def find_tag_problems(component: str, examples: Sequence[Example], targets: TagTargets) -> Iterator[Problem]:
    """Find improbable tags, of tokens that have one; see `find_entity_problems`."""
    column = {tag: index for index, tag in enumerate(targets.tags)}
    tags = [(number, each) for number, example in enumerate(examples) for each in list_tags(component, example)]
    gold = [column.get(each.gold or "", -1) for _, each in tags]
    predicted = [column.get(each.label, -1) for _, each in tags]
    found = [
        (Problem(number, component, "tag", (each.span._replace(label=each.gold or ""),), (each.span,)), [row])
        for row, (number, each) in enumerate(tags)
        if -1 < gold[row] != predicted[row] > -1
    ]
    return score_problems(found, np.exp(targets.scores), gold, predicted, targets.tags)


def find_category_problems(
    component: str, examples: Sequence[Example], labels: Sequence[str], threshold: float | None
) -> Iterator[Problem]:
    """Find improbable categories.

    Args:
        component: Name of the component.
        examples: Predicted documents with gold annotation.
        labels: The `L` labels of the component.
        threshold: From which probability on one is predicted; None if they exclude each other.
    """
    values = np.array([[example.predicted.cats[label] for label in labels] for example in examples])  # (B, L)
    if threshold is None:
        held = [list_gold_labels(example.reference.cats, labels, exclusive=True) for example in examples]
        gold = [labels.index(names[0]) if names else -1 for names in held]
        yield from _compare_outcomes(component, labels, values, gold, values.argmax(axis=1).tolist())
        return
    for label, prob in zip(labels, values.T, strict=True):
        gold = [int(cats[label] > 0) if label in (cats := example.reference.cats) else -1 for example in examples]
        probs = np.stack([1 - prob, prob], axis=1)  # (B, 2)
        yield from _compare_outcomes(component, ("", label), probs, gold, np.int_(prob >= threshold).tolist())


def _compare_outcomes(
    component: str, names: Sequence[str], probs: Floats, gold: Sequence[int], predicted: Sequence[int]
) -> Iterator[Problem]:
    """Compare the outcomes of one decision about each document; one without a name says that a label does not hold."""
    found = []
    for number, outcomes in enumerate(zip(gold, predicted, strict=True)):
        if -1 < outcomes[0] != outcomes[1]:
            own, other = ([TagSpan(0, 0, names[each])] * (names[each] != "") for each in outcomes)
            kind: Kind = "category" if own and other else _name_kind(own, other)
            found.append((Problem(number, component, kind, tuple(own), tuple(other)), [number]))
    return score_problems(found, probs, gold, predicted, names)
