"""`span._.score`: the probability of an entity, looked up where it is stored."""

from __future__ import annotations

from spacy.tokens import Span


def register_score() -> None:
    """Add the extension attribute, unless somebody else has one of that name."""
    if not Span.has_extension("score"):
        Span.set_extension("score", getter=find_score)


def find_score(span: Span) -> float | None:
    """Return the probability of an entity, or nothing for a span that no component of ours has found.

    The scores stand in the attributes of `doc.spans[<component>]`, so they survive a `DocBin`.
    """
    for group in span.doc.spans.values():
        scores = group.attrs.get("scores")
        if scores is None:
            continue
        for stored, score in zip(group, scores, strict=False):
            if (stored.start, stored.end, stored.label) == (span.start, span.end, span.label):
                return float(score)
    return None
