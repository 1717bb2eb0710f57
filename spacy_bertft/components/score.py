"""`span._.score`: the probability of an entity, looked up where it is stored."""

from __future__ import annotations

from contextlib import suppress

from spacy.tokens import Doc, Span


def register_score() -> None:
    """Add the extension attribute, unless somebody else has one of that name."""
    with suppress(ValueError):  # there is one already, perhaps since another thread loads a pipeline too
        Span.set_extension("score", getter=find_score)


def find_score(span: Span) -> float | None:
    """Return the probability of an entity, or nothing for a span that no component of ours has found.

    The scores stand in the attributes of `doc.spans[<component>]`, so they survive a `DocBin`.
    """
    return map_scores(span.doc).get((span.start, span.end, span.label))


def map_scores(doc: Doc) -> dict[tuple[int, int, int], float]:
    """Map the tokens and the label of every entity to its probability, where a component of ours has found it.

    Args:
        doc: The document.

    Returns:
        By first token, token after the last, and hash of the label.
    """
    scores: dict[tuple[int, int, int], float] = {}
    for group in doc.spans.values():
        for stored, score in zip(group, group.attrs.get("scores") or (), strict=False):
            scores.setdefault((stored.start, stored.end, stored.label), float(score))
    return scores
