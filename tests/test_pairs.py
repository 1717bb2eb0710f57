"""Pairs of texts survive what spaCy does to documents."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import DocBin, SpanGroup

from spacy_bertft.errors import DataError
from spacy_bertft.pairs import SEGMENTS, SEPARATOR, find_segments, make_pair

NLP = spacy.blank("en")


def read_segments(doc):
    return tuple(doc.text[start:end] for start, end in find_segments(doc, doc.text))


@pytest.mark.parametrize(("first", "second"), [("a b.", "c"), ("don't", "can't"), ("x", "Ärger 🙂"), ("a ", " b")])
def test_a_pair_survives_docbin_and_tokenizing_again(first, second):
    doc = make_pair(NLP, first, second)
    [stored] = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(NLP.vocab)
    assert [span.text for span in stored.spans[SEGMENTS]] == [first.strip(), second.strip()]
    again = NLP.make_doc(doc.text)
    assert read_segments(doc) == read_segments(stored) == read_segments(again) == (first, second)


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


def test_spans_that_are_no_pair():
    doc = NLP("one two three")
    doc.spans[SEGMENTS] = SpanGroup(doc, spans=[doc[1:], doc[:1]])
    with pytest.raises(DataError, match="Expected two spans"):
        find_segments(doc, doc.text)
