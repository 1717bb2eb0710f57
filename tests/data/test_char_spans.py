"""Span groups that follow their characters."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_bertft.data.char_spans import CharSpanGroup, read_char_spans
from spacy_bertft.errors import DataError

NLP = spacy.blank("en")


def make_doc() -> Doc:
    doc = NLP.make_doc("the mayor of New York met Drew Barrymore")
    spans = [Span(doc, 3, 5, "CITY", kb_id="Q60", span_id="1"), Span(doc, 6, 8, "PERSON")]
    doc.spans["own"] = CharSpanGroup(doc, name="own", spans=spans, attrs={"scores": [0.5, 0.25]})
    return doc


def read(doc: Doc) -> list[tuple[str, str, str]]:
    return [(span.text, span.label_, span.kb_id_) for span in doc.spans["own"]]


def test_it_is_a_span_group_like_any_other():
    doc = make_doc()
    group = doc.spans["own"]
    assert read(doc) == [("New York", "CITY", "Q60"), ("Drew Barrymore", "PERSON", "")]
    assert (len(group), group[-1].text, group[0].id_, group.has_overlap) == (2, "Drew Barrymore", "1", False)
    group.append(Span(doc, 0, 2, "ROLE"))
    group[0] = Span(doc, 4, 5, "CITY")
    assert [span.text for span in group] == ["York", "Drew Barrymore", "the mayor"]
    assert [span.text for span in group + group.copy()][2:] == ["the mayor", "York", "Drew Barrymore", "the mayor"]
    with pytest.raises(IndexError):
        group[3]


def test_merging_and_splitting():
    doc = make_doc()
    copied = doc.copy()
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
        retokenizer.merge(doc[6:8])
        retokenizer.split(doc[4], ["Yo", "rk"], heads=[(doc[4], 1), doc[3]])
    expected = [("New York", "CITY", "Q60"), ("Drew Barrymore", "PERSON", "")]
    assert read(doc) == read(doc.copy()) == read(copied) == expected
    assert [(span.start, span.end) for span in doc.spans["own"]] == [(2, 5), (6, 7)]
    stored = Doc(NLP.vocab).from_bytes(doc.to_bytes())
    assert read(stored) == read(stored.copy()) == expected
    assert [(span["start"], span["end"]) for span in doc.to_json()["spans"]["own"]] == [(13, 21), (26, 40)]
    assert read(Doc.from_docs([doc, copied])) == expected * 2


def test_a_span_inside_a_token_is_extended_but_not_forgotten():
    doc = make_doc()
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:5])
    copied = doc.copy().copy()
    for each in (doc, copied):
        assert [text for text, *_ in read(each)] == ["the mayor of New York", "Drew Barrymore"]
        assert each.spans["own"].attrs == {"scores": [0.5, 0.25]}
        with each.retokenize() as retokenizer:
            retokenizer.split(each[0], ["the mayor of ", "New York"], heads=[(each[0], 1), each[1]])
        assert [text for text, *_ in read(each)] == ["New York", "Drew Barrymore"]


def test_a_copy_has_attributes_of_its_own_and_labels_in_another_vocabulary():
    doc = make_doc()
    other = spacy.blank("en").make_doc(doc.text)
    other.spans["own"] = doc.spans["own"].copy(doc=other)
    other.spans["own"].attrs["scores"].clear()
    assert [span.label_ for span in other.spans["own"]] == ["CITY", "PERSON"]
    assert doc.spans["own"].attrs["scores"] == [0.5, 0.25]


def test_a_document_with_another_text():
    doc, other = make_doc(), NLP.make_doc("New York")
    with pytest.raises(DataError, match=r"'own' of 'the mayor .* Expected a document with the same text"):
        doc.spans["own"].copy(doc=other)


def test_characters_of_a_stale_group_of_spacy():
    doc = make_doc()
    doc.spans["stock"] = list(doc.spans["own"])
    expected = [(13, 21), (26, 40)]
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:5])
    with pytest.raises(IndexError, match="E035"):
        list(doc.spans["stock"])
    for group in doc.spans.values():
        assert [(span.char_start, span.char_end) for span in read_char_spans(group)] == expected
