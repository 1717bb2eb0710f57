"""The arrays of a grammar say what `read_spans` says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.errors import TagError
from spacy_bertft.tags.grammar import SCHEMES, Scheme, TagGrammar, TagScheme, build_grammar
from spacy_bertft.tags.schemes import read_spans

PREFIXES: dict[Scheme, str] = {"bio": "BI", "iob1": "BI", "biluo": "BILU", "bioes": "BIES"}


def build(scheme: Scheme) -> TagGrammar:
    return build_grammar(
        ["O", *(f"{prefix}-{label}" for label in ("PER", "LOC") for prefix in PREFIXES[scheme])], scheme
    )


def is_legal(path: list[int], grammar: TagGrammar) -> bool:
    steps = pairwise(path)
    return not path or bool(
        grammar.may_start[path[0]] and grammar.may_end[path[-1]] and all(grammar.may_follow[step] for step in steps)
    )


def is_readable(tags: list[str], scheme: Scheme) -> bool:
    try:
        read_spans(tags, scheme)
    except TagError:
        return False
    return True


@pytest.mark.parametrize("scheme", SCHEMES)
@given(st.lists(st.integers(0, 8), max_size=6))
def test_a_sequence_is_legal_where_its_spans_can_be_read(scheme: Scheme, path: list[int]) -> None:
    grammar = build(scheme)
    path = [tag % len(grammar.tags) for tag in path]
    assert is_legal(path, grammar) == is_readable([grammar.tags[tag] for tag in path], scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=6))
def test_a_tag_continues_where_no_span_starts(scheme: Scheme, path: list[int]) -> None:
    grammar = build(scheme)
    path = [tag % len(grammar.tags) for tag in path]
    if is_legal(path, grammar):
        spans = read_spans([grammar.tags[tag] for tag in path], scheme)
        inner = {token for span in spans for token in range(span.token_start + 1, span.token_end)}
        steps = enumerate(pairwise(path), start=1)
        assert {token for token, step in steps if grammar.continues[step]} == inner


def test_labels_stand_beside_their_tags() -> None:
    assert build("bio").labels == ("", "PER", "PER", "LOC", "LOC")


def test_a_free_grammar_forbids_nothing_and_continues_nothing() -> None:
    grammar = build_grammar(["NN", "VB"], None)
    assert grammar.may_start.all()
    assert grammar.may_follow.all()
    assert grammar.may_end.all()
    assert not grammar.continues.any()
    assert grammar.labels == ("NN", "VB")


@pytest.mark.parametrize("scheme", [*SCHEMES, "bare", None])
def test_a_grammar_may_have_no_tags(scheme: TagScheme | None) -> None:
    assert build_grammar([], scheme).may_follow.shape == (0, 0)


def test_of_bare_tags_neighbors_of_one_label_are_one_span() -> None:
    grammar = build_grammar(["O", "PER", "LOC"], "bare")
    assert grammar.continues.tolist() == [[False] * 3, [False, True, False], [False, False, True]]
    assert grammar.may_follow.all()
    assert grammar.labels == ("", "PER", "LOC")


@pytest.mark.parametrize(("tags", "scheme"), [(["O", "PER", "?"], "bare"), (["O", "U-X", "?"], "biluo"), ("ab?", None)])
def test_a_tag_that_is_never_predicted(tags: list[str], scheme: TagScheme | None) -> None:
    grammar, without = build_grammar(tags, scheme, {"?"}), build_grammar(tags[:2], scheme)
    for name in ("may_start", "may_end", "may_follow", "continues"):
        found = getattr(grammar, name)
        assert found[(slice(2),) * found.ndim].tolist() == getattr(without, name).tolist()
        assert not found[2].any()
        assert not found[..., 2].any()
    assert grammar.labels == (*without.labels, "")
    assert grammar.tags == tuple(tags)


@pytest.mark.parametrize(("scheme", "tag"), [("bio", "E-PER"), ("iob1", "S-PER"), ("bioes", "U-PER"), ("bio", "PER")])
def test_a_tag_of_another_scheme_is_an_error(scheme: Scheme, tag: str) -> None:
    with pytest.raises(TagError) as caught:
        build_grammar(["O", tag], scheme)
    assert (caught.value.index, caught.value.tag) == (1, tag)
