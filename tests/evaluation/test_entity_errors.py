"""Every error type by hand, and what holds for all entities."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.evaluation.entities import match_entities
from spacy_bertft.tags.schemes import TagSpan

A, B = "A", "B"
CASES = {
    "correct": ([(0, 2, A)], [(0, 2, A)], ["correct"]),
    "label": ([(0, 2, A)], [(0, 2, B)], ["label"]),
    "boundary, shorter": ([(0, 2, A)], [(0, 1, A)], ["boundary"]),
    "boundary, shifted": ([(0, 2, A)], [(1, 4, A)], ["boundary"]),
    "label and boundary": ([(0, 2, A)], [(1, 3, B)], ["label and boundary"]),
    "missed": ([(0, 2, A)], [], ["missed"]),
    "spurious": ([], [(0, 2, A)], ["spurious"]),
    "neighbours share no token": ([(0, 2, A)], [(2, 3, A)], ["missed", "spurious"]),
    "one cut in two": ([(0, 4, A)], [(0, 1, A), (1, 4, A)], ["spurious", "boundary"]),
    "two joined": ([(0, 1, A), (1, 4, A)], [(0, 4, A)], ["missed", "boundary"]),
    "the same label before more tokens": ([(0, 4, A)], [(0, 1, A), (1, 4, B)], ["boundary", "spurious"]),
    "the same ends before the same label": ([(0, 2, A), (2, 3, B)], [(0, 2, B), (2, 3, B)], ["label", "correct"]),
}


def make(spans: list[tuple[int, int, str]]) -> list[TagSpan]:
    return [TagSpan(*span) for span in spans]


@pytest.mark.parametrize(("gold", "predicted", "error_types"), CASES.values(), ids=CASES)
def test_by_hand(gold, predicted, error_types):
    assert [match.error_type for match in match_entities(make(gold), make(predicted))] == error_types


@st.composite
def draw_spans(draw):
    ends = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    bounds = list(zip(ends[::2], ends[1::2], strict=False))
    return [TagSpan(start, end, draw(st.sampled_from("AB"))) for start, end in bounds]


@given(draw_spans(), draw_spans())
def test_every_entity_has_one_place(gold, predicted):
    matches = match_entities(gold, predicted)
    assert sorted(m.gold for m in matches if m.gold is not None) == list(range(len(gold)))
    assert sorted(m.predicted for m in matches if m.predicted is not None) == list(range(len(predicted)))
    error_types = Counter(match.error_type for match in matches)
    assert error_types["correct"] == len(set(gold) & set(predicted))
    for match in matches:
        left = None if match.gold is None else gold[match.gold]
        right = None if match.predicted is None else predicted[match.predicted]
        assert match.error_type == name_error_type(left, right)


@given(draw_spans(), draw_spans())
def test_nothing_is_missed_where_a_free_entity_overlaps(gold, predicted):
    matches = match_entities(gold, predicted)
    missed = [gold[match.gold] for match in matches if match.error_type == "missed"]
    spurious = [predicted[match.predicted] for match in matches if match.error_type == "spurious"]
    for left in missed:
        for right in spurious:
            assert not (left.token_start < right.token_end and right.token_start < left.token_end)


def name_error_type(left, right):
    if left is None or right is None:
        return "spurious" if left is None else "missed"
    assert left.token_start < right.token_end
    assert right.token_start < left.token_end
    wrong = {"label": left.label != right.label, "boundary": left[:2] != right[:2]}
    return " and ".join(name for name, is_wrong in wrong.items() if is_wrong) or "correct"
