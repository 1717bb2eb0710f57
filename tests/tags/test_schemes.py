"""Schemes: laws first, then seqeval, then sequences worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Token, Tokens

from spacy_bertft.errors import SettingError, TagError
from spacy_bertft.tags.grammar import SCHEMES, Scheme, parse_scheme, split_tag
from spacy_bertft.tags.schemes import TagSpan, guess_scheme, read_spans, repair_tags, write_tags

SEQEVAL_SCHEMES: dict[Scheme, type[Token]] = {"bio": IOB2, "iob1": IOB1, "biluo": BILOU, "bioes": IOBES}
PREFIXES: dict[Scheme, str] = {"bio": "BI", "iob1": "BI", "biluo": "BILU", "bioes": "BIES"}
LABELS = ("PER", "LOC", "creative-work")

schemes = st.sampled_from(SCHEMES)


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[TagSpan], int]:
    """Draw non-overlapping spans and the number of tokens around them."""
    spans, n_tokens = [], 0
    for _ in range(draw(st.integers(0, 6))):
        token_start = n_tokens + draw(st.integers(0, 2))
        n_tokens = token_start + draw(st.integers(1, 4))
        spans.append(TagSpan(token_start, n_tokens, draw(st.sampled_from(LABELS))))
    return spans, n_tokens + draw(st.integers(0, 2))


@st.composite
def tagged(draw: st.DrawFn) -> tuple[Scheme, list[str]]:
    """Draw a sequence of tags of one scheme, legal or not."""
    scheme = draw(schemes)
    tags = ["O", *(f"{prefix}-{label}" for prefix in PREFIXES[scheme] for label in LABELS)]
    return scheme, draw(st.lists(st.sampled_from(tags), max_size=8))


def read_leniently_with_seqeval(tags: list[str]) -> list[TagSpan]:
    # seqeval's default mode does not know L- and U-, which mean E- and S-.
    known = [tag.replace("L-", "E-", 1) if tag[0] == "L" else tag for tag in tags]
    known = ["S" + tag[1:] if tag[0] == "U" else tag for tag in known]
    return [TagSpan(start, end + 1, label) for label, start, end in get_entities(known)]


def read_strictly_with_seqeval(tags: list[str], scheme: Scheme) -> list[TagSpan]:
    entities = Tokens(tags, SEQEVAL_SCHEMES[scheme]).entities
    return [TagSpan(entity.start, entity.end, entity.tag) for entity in entities]


@given(sentences(), schemes)
def test_spans_survive_every_scheme(sentence: tuple[list[TagSpan], int], scheme: Scheme) -> None:
    spans, n_tokens = sentence
    tags = write_tags(spans, n_tokens, scheme)
    assert len(tags) == n_tokens
    assert read_spans(tags, scheme) == spans
    assert repair_tags(tags, scheme) == (tags, 0)


@given(sentences(), schemes)
def test_the_order_of_the_spans_does_not_matter(sentence: tuple[list[TagSpan], int], scheme: Scheme) -> None:
    spans, n_tokens = sentence
    assert write_tags(reversed(spans), n_tokens, scheme) == write_tags(spans, n_tokens, scheme)


@given(tagged())
def test_legal_tags_are_the_ones_that_their_spans_write(case: tuple[Scheme, list[str]]) -> None:
    scheme, tags = case
    strict = read_strictly_with_seqeval(tags, scheme)
    is_legal = write_tags(strict, len(tags), scheme) == tags
    if is_legal:
        assert read_spans(tags, scheme) == strict == read_leniently_with_seqeval(tags)
    else:
        with pytest.raises(TagError):
            read_spans(tags, scheme)


@given(tagged())
def test_repair_reads_as_seqeval_and_is_idempotent(case: tuple[Scheme, list[str]]) -> None:
    scheme, tags = case
    repaired, n_changed = repair_tags(tags, scheme)
    assert read_spans(repaired, scheme) == read_leniently_with_seqeval(tags)
    assert n_changed == sum(old != new for old, new in zip(tags, repaired, strict=True))
    assert repair_tags(repaired, scheme) == (repaired, 0)


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("bio", "B-X O B-X I-X B-X I-X I-X B-Y"),
        ("iob1", "I-X O I-X I-X B-X I-X I-X I-Y"),
        ("biluo", "U-X O B-X L-X B-X I-X L-X U-Y"),
        ("bioes", "S-X O B-X E-X B-X I-X E-X S-Y"),
    ],
)
def test_one_sentence_in_four_schemes(scheme: Scheme, tags: str) -> None:
    spans = [TagSpan(0, 1, "X"), TagSpan(2, 4, "X"), TagSpan(4, 7, "X"), TagSpan(7, 8, "Y")]
    assert read_spans(tags.split(), scheme) == spans
    assert write_tags(spans, 8, scheme) == tags.split()
    assert guess_scheme([tags.split()]) == scheme


@pytest.mark.parametrize(
    ("scheme", "tags", "index", "expected"),
    [
        ("bio", "O I-X", 1, "B-X"),
        ("bio", "I-X", 0, "B-X"),
        ("bio", "B-X I-Y", 1, "B-Y"),
        ("iob1", "O B-X", 1, "I-X"),
        ("iob1", "I-X B-Y", 1, "I-Y"),
        ("biluo", "B-X O", 1, "I-X or L-X"),
        ("biluo", "B-X L-Y", 1, "I-X or L-X"),
        ("biluo", "B-X U-X", 1, "I-X or L-X"),
        ("biluo", "O L-X", 1, "B-X or U-X"),
        ("biluo", "O B-X", 1, "U-X"),
        ("bioes", "B-X I-X", 1, "E-X"),
        ("bioes", "S-X I-X", 1, "B-X or S-X"),
        ("bio", "O L-X", 1, "one of O, B-X, I-X"),
        ("bioes", "U-X", 0, "one of O, B-X, I-X, E-X, S-X"),
        ("biluo", "BI-X", 0, "one of O, B-X, I-X, L-X, U-X"),
    ],
)
def test_an_illegal_tag_is_named(scheme: Scheme, tags: str, index: int, expected: str) -> None:
    with pytest.raises(TagError) as caught:
        read_spans(tags.split(), scheme)
    assert caught.value.index == index
    assert caught.value.tag == tags.split()[index]
    assert caught.value.expected == expected


@pytest.mark.parametrize("tag", ["", "-", "B", "B-", "-PER", "O-PER", "PER", "o"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(TagError, match="is not a tag") as caught:
        split_tag(tag, 3)
    assert (caught.value.index, caught.value.tag) == (3, tag)


def test_repair_refuses_what_the_scheme_does_not_know() -> None:
    with pytest.raises(TagError) as caught:
        repair_tags(["O", "E-X"], "bio")
    assert (caught.value.index, caught.value.tag) == (1, "E-X")


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([TagSpan(0, 2, "X"), TagSpan(1, 3, "Y")], "overlaps the span 'X' that ends at token 2"),
        ([TagSpan(0, 1, "X"), TagSpan(0, 1, "X")], "overlaps the span 'X' that ends at token 1"),
        ([TagSpan(2, 4, "X")], "labels tokens 2 to 4 of 3"),
        ([TagSpan(-1, 1, "X")], "labels tokens -1 to 1 of 3"),
        ([TagSpan(1, 1, "X")], "labels a span without tokens"),
        ([TagSpan(0, 1, "")], "is no label"),
    ],
)
def test_spans_that_cannot_be_written(spans: list[TagSpan], problem: str) -> None:
    with pytest.raises(TagError) as caught:
        write_tags(spans, 3)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([], "bio"),
        (["O O"], "bio"),
        (["B-X O"], "bio"),
        (["B-X B-X"], "bio"),
        (["I-X O"], "iob1"),
        (["I-X B-X", "O I-Y"], "iob1"),
        # One orphan does not make a BIO corpus IOB1.
        (["O B-X", "O I-X"], "bio"),
        (["B-X I-X", "U-X"], "biluo"),
        (["B-X I-X", "B-X E-X"], "bioes"),
        (["NN -", "B-X"], "bio"),
    ],
)
def test_guesses(sequences: list[str], scheme: Scheme) -> None:
    assert guess_scheme(tags.split() for tags in sequences) == scheme


@pytest.mark.parametrize(
    ("name", "scheme"), [("BIO", "bio"), ("IOB2", "bio"), ("BILOU", "biluo"), ("iobes", "bioes"), ("iob1", "iob1")]
)
def test_other_names_of_the_schemes(name: str, scheme: Scheme) -> None:
    assert parse_scheme(name) == scheme


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        parse_scheme("iob")
    assert (caught.value.name, caught.value.value) == ("scheme", "iob")
