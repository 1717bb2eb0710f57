"""Gold annotation, read off an example in the tokens of the predicted document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB, IDX, LENGTH
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from spacy_bertft.tags import TagSpan


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
    """What an example says of the entities of its predicted document.

    Attributes:
        spans: The entities that fit the tokens.
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
    ents = example.reference.ents
    if len(aligned) == len(ents):
        return GoldEntities(spans, is_known, [])
    # One by one, since the characters of the two documents may be counted differently.
    misaligned = [ent.text for ent in ents if not example.get_aligned_spans_y2x([ent])]
    return GoldEntities(spans, is_known, misaligned)


def judge_spans(spans: Iterable[TagSpan], gold: GoldEntities) -> list[bool | None]:
    """Tell of each span whether it is right: both its ends and its label; nothing where the annotation says nothing."""
    judged: list[bool | None] = []
    for span in spans:
        is_right = span in gold.spans
        is_known = is_right or bool(gold.is_known[span.token_start : span.token_end].all())
        judged.append(is_right if is_known else None)
    return judged


def judge_group(group: SpanGroup, gold: GoldEntities) -> list[tuple[Span, float, bool]]:
    """List the entities that a component has found, with their probabilities and whether each is right.

    Those of which the annotation says nothing are left out.

    Args:
        group: `doc.spans` of the component, on a predicted document.
        gold: What the annotation says of that document.
    """
    verdicts = judge_spans([TagSpan(span.start, span.end, span.label_) for span in group], gold)
    rows = zip(group, group.attrs["scores"], verdicts, strict=True)
    return [(span, prob, is_right) for span, prob, is_right in rows if is_right is not None]


def _has_same_tokens(left: Doc, right: Doc) -> bool:
    return len(left) == len(right) and np.array_equal(left.to_array([IDX, LENGTH]), right.to_array([IDX, LENGTH]))
