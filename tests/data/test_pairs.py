"""Pairs of texts survive what spaCy does to documents."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc, DocBin, SpanGroup

from spacy_bertft.data.pairs import SEGMENTS, SEPARATOR, find_segments, is_unmarked_pair, make_pair, mark_pair
from spacy_bertft.errors import DataError

NLP = spacy.blank("en")


def read_segments(doc):
    return tuple(doc.text[start:end] for start, end in find_segments(doc, doc.text))


@pytest.mark.parametrize(("first", "second"), [("a b.", "c"), ("don't", "can't"), ("x", "Ärger 🙂"), ("a ", " b")])
def test_a_pair_survives_docbin_and_copying(first, second):
    doc = make_pair(NLP, first, second)
    [stored] = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(NLP.vocab)
    assert [span.text for span in stored.spans[SEGMENTS]] == [first.strip(), second.strip()]
    again = mark_pair(NLP.make_doc(doc.text))
    for each in (doc, stored, again, doc.copy(), mark_pair(stored)):
        assert read_segments(each) == (first, second)


def test_only_spans_make_a_pair():
    """A U+001F alone does not: here it is an odd character in one text."""
    doc = NLP.make_doc(f"a b{SEPARATOR}c d")
    assert find_segments(doc, doc.text) is None
    assert is_unmarked_pair(doc)
    assert not is_unmarked_pair(mark_pair(doc))


@pytest.mark.parametrize("text", [f"{SEPARATOR}b", f"a {SEPARATOR} ", SEPARATOR])
def test_nothing_on_one_side_is_no_pair(text):
    doc = mark_pair(NLP.make_doc(text))
    assert find_segments(doc, text) is None
    assert is_unmarked_pair(doc)


def test_a_pair_survives_retokenization():
    """With stale token indices `doc.copy()` would raise IndexError E035, and the second text would be another one."""
    doc = make_pair(NLP, "he left early today", "he went away")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:4])
        retokenizer.merge(doc[5:8])
    [stored] = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(NLP.vocab)
    for each in (doc, doc.copy(), stored, stored.copy()):
        assert read_segments(each) == ("he left early today", "he went away")
        assert [span.text for span in each.spans[SEGMENTS]] == ["he left early today", "he went away"]


def test_spans_that_leave_something_out_are_taken_as_they_are():
    doc = NLP(f"one two{SEPARATOR}three")
    doc.spans[SEGMENTS] = SpanGroup(doc, spans=[doc[:1], doc[3:]])
    assert read_segments(doc) == ("one", "three")


def test_spans_alone_make_a_pair():
    doc = NLP("one two three")
    doc.spans[SEGMENTS] = SpanGroup(doc, spans=[doc[:1], doc[2:]])
    assert read_segments(doc) == ("one", "three")


@pytest.mark.parametrize("text", ["", "a", f"a{SEPARATOR}b{SEPARATOR}c"])
def test_other_texts_are_single(text):
    assert find_segments(NLP.make_doc(text), text) is None


@pytest.mark.parametrize(("first", "second"), [("", "b"), ("a", "  "), (f"a{SEPARATOR}", "b")])
def test_what_cannot_be_a_pair(first, second):
    with pytest.raises(DataError, match=r"U\+001F"):
        make_pair(NLP, first, second)


def test_a_tokenizer_that_joins_both_texts():
    nlp = spacy.blank("en")
    nlp.tokenizer = lambda text: Doc(nlp.vocab, text.split(" "), [True, True, False])
    with pytest.raises(
        DataError, match=r"The tokenizer joins the texts of a pair\. Expected tokens that end at U\+001F"
    ):
        make_pair(nlp, "he left", "he went")


def test_spans_that_are_no_pair():
    doc = NLP("one two three")
    doc.spans[SEGMENTS] = SpanGroup(doc, spans=[doc[1:], doc[:1]])
    with pytest.raises(DataError, match="Expected two spans"):
        find_segments(doc, doc.text)
