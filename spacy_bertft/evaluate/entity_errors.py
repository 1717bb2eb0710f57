"""What is wrong with an entity: its ends, its label, both, or that it is there or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from spacy_bertft.tags.schemes import TagSpan

EntityKind = Literal["right", "label", "boundary", "label and boundary", "missed", "spurious"]
KINDS: tuple[EntityKind, ...] = ("right", "label", "boundary", "label and boundary", "missed", "spurious")

# From the best match to the worst.
_OVERLAPPING: tuple[EntityKind, ...] = ("right", "label", "boundary", "label and boundary")


class EntityMatch(NamedTuple):
    """An entity of the gold annotation and the predicted one that stands in its place.

    Attributes:
        kind: `right`; `label`, where only that is wrong; `boundary`, where the label is right and both share a token;
            `label and boundary`, where they share a token; `missed` and `spurious`, where there is no other one.
        gold: The index of the one, or nothing.
        predicted: The index of the other, or nothing.
    """

    kind: EntityKind
    gold: int | None
    predicted: int | None


def match_entities(gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> list[EntityMatch]:
    """Match entities, each with at most one other: the best matches first, of equal ones those that share most tokens.

    So the kinds but `spurious` sum up to the gold entities, and those but `missed` to the predicted ones.

    Args:
        gold: The entities of the annotation of one document.
        predicted: The entities that were found in it, in the same tokens.

    Returns:
        The matches in the order of the text.

    Source: correct, partial, incorrect, missing and spurious answers of Chinchor & Sundheim (1993), with the incorrect
        ones told apart as in Segura-Bedmar, Martínez & Herrero-Zazo (2013), section 4.
    """
    pairs = sorted(_find_overlaps(gold, predicted))
    free_gold, free_predicted = set(range(len(gold))), set(range(len(predicted)))
    matches = []
    for rank, _, left, right in pairs:
        if left in free_gold and right in free_predicted:
            free_gold.remove(left)
            free_predicted.remove(right)
            matches.append(EntityMatch(_OVERLAPPING[rank], left, right))
    matches += [EntityMatch("missed", left, None) for left in free_gold]
    matches += [EntityMatch("spurious", None, right) for right in free_predicted]
    return sorted(matches, key=lambda match: _find_place(match, gold, predicted))


def _find_overlaps(gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> set[tuple[int, int, int, int]]:
    """Find the pairs that share a token: rank, minus the number of these tokens, and both indices."""
    at_token: dict[int, list[int]] = {}
    for right, span in enumerate(predicted):
        for token in range(span.token_start, span.token_end):
            at_token.setdefault(token, []).append(right)
    found = set()
    for left, span in enumerate(gold):
        for token in range(span.token_start, span.token_end):
            for right in at_token.get(token, ()):
                found.add((*_rank(span, predicted[right]), left, right))
    return found


def _rank(gold: TagSpan, predicted: TagSpan) -> tuple[int, int]:
    has_label = gold.label == predicted.label
    has_bounds = (gold.token_start, gold.token_end) == (predicted.token_start, predicted.token_end)
    n_shared = min(gold.token_end, predicted.token_end) - max(gold.token_start, predicted.token_start)
    return 2 * (not has_bounds) + (not has_label), -n_shared


def _find_place(match: EntityMatch, gold: Sequence[TagSpan], predicted: Sequence[TagSpan]) -> tuple[int, int]:
    span = predicted[match.predicted] if match.predicted is not None else gold[match.gold or 0]
    return span.token_start, span.token_end
