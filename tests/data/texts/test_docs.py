from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin

from spacy_bertft.data.pairs import SEGMENTS
from spacy_bertft.data.records import Record
from spacy_bertft.data.texts.docs import make_text_doc
from spacy_bertft.data.texts.labels import LabelledText
from spacy_bertft.data.texts.rows import LabelledRow
from spacy_bertft.errors import ColumnFormatError

NLP = spacy.blank("en")


def make_text(first: str, second: str | None = None) -> LabelledText:
    return LabelledText(LabelledRow(Record("a", 7, {}), first, second, None), {"x": 0.5})


def store(doc: Doc) -> Doc:
    """Store a Doc as a conversion does, and read it again."""
    doc_bin = DocBin(attrs=[])
    doc_bin.add(doc)
    [stored] = DocBin().from_bytes(doc_bin.to_bytes()).get_docs(NLP.vocab)
    return stored


spaces = st.text(st.sampled_from("a. \t\n\r\u00a0\u2003\u2028\ufeff\u200b\x1c\x85\0"), min_size=1)
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(spaces | any_text)
def test_the_text_is_kept_exactly(text: str) -> None:
    doc = make_text_doc(NLP, make_text(text), ["y", "x"])
    assert doc.text == store(doc).text == text
    assert list(doc.cats.items()) == list(store(doc).cats.items()) == [("y", 0.0), ("x", 0.5)]


@pytest.mark.parametrize(("first", "second"), [("He left. ", "He didn't stay."), ("He left.\t ", "\n\u2003Did he?")])
def test_pairs(first: str, second: str) -> None:
    doc = store(make_text_doc(NLP, make_text(first, second), ["x"]))
    assert doc.text == f"{first}\x1f{second}"
    assert [span.text for span in doc.spans[SEGMENTS]] == [first.strip(), second.strip()]
    assert doc.cats == {"x": 0.5}


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("", "b", "the row is not a pair"),
        ("a", " ", "the row is not a pair"),
        ("a\x1fb", "c", "the row is not a pair"),
        ("a" * 1_000_001, None, "the row is not a document"),
        ("a" * 500_000, "b" * 500_000, "the row is not a pair"),
    ],
)
def test_what_makes_no_doc(first: str, second: str | None, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        make_text_doc(NLP, make_text(first, second), ["x"])
    assert (caught.value.path, caught.value.line, caught.value.problem) == (Path("a"), 7, problem)


def test_a_tokenizer_that_changes_the_text() -> None:
    nlp = spacy.blank("en")
    nlp.tokenizer = lambda text: Doc(nlp.vocab, words=text.split())
    with pytest.raises(ColumnFormatError, match="changes the text"):
        make_text_doc(nlp, make_text("a"), ["x"])
