"""Damaged `.spacy` files: each document is read or told; what is no such file is reported as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_bertft.annotation.chunks import cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.data.docs import parse_docs, read_docs, slice_docs, unpack_docs
from spacy_bertft.errors import DataError

NLP = spacy.blank("xx")


def make_bin() -> DocBin:
    docs = []
    for number in range(4):
        doc = NLP.make_doc(f"text number {number}")
        doc.cats = {"x": 0.5}
        doc.ents = [Span(doc, 1, 3, "L")]
        doc.spans["own"] = [Span(doc, 0, 2, "S")]
        docs.append(doc)
    return DocBin(["ENT_IOB", "ENT_TYPE"], docs=docs)


def change_word(docs: DocBin) -> None:
    docs.tokens[1][0, 0] = 12345


def change_label(docs: DocBin) -> None:
    docs.tokens[1][2, docs.attrs.index(spacy.symbols.ENT_TYPE)] = 12345


def change_cats(docs: DocBin) -> None:
    docs.cats[1] = {"x": "high"}


def change_spans(docs: DocBin) -> None:
    docs.span_groups[1] = b"\xc1"


def change_user_data(docs: DocBin) -> None:
    docs.user_data = [None, b"\xc1", None, None]
    docs.store_user_data = True


def move_span(docs: DocBin) -> None:
    longer = NLP.make_doc("one two three four five six seven")
    longer.spans["own"] = [Span(longer, 5, 7, "S")]
    docs.span_groups[1] = longer.spans.to_bytes()


CHANGES = [change_word, change_label, change_cats, change_spans, change_user_data, move_span]


@pytest.mark.parametrize("change", CHANGES)
def test_a_document_that_cannot_be_read_takes_no_other_one_with_it(change: Callable[[DocBin], None]) -> None:
    docs = make_bin()
    docs.tokens = [tokens.copy() for tokens in docs.tokens]
    change(docs)
    found = list(unpack_docs(parse_docs(docs.to_bytes()), Vocab()))
    assert [isinstance(doc, Doc) for doc in found] == [True, False, True, True]
    assert [doc.text for doc in found if isinstance(doc, Doc)] == [f"text number {number}" for number in (0, 2, 3)]
    assert [[ent.label_ for ent in doc.ents] for doc in found if isinstance(doc, Doc)] == [["L"]] * 3
    message = str(found[1])
    assert message.startswith("the document cannot be read (")
    assert message.endswith("). Expected what DocBin.to_disk wrote.")


def test_both_readers_tell_which_document(tmp_path: Path) -> None:
    docs = make_bin()
    change_cats(docs)
    path = tmp_path / "a.spacy"
    docs.to_disk(path)
    reason = "the document cannot be read (the category 'x' is 'high'). Expected what DocBin.to_disk wrote."
    with pytest.raises(DataError) as caught:
        list(read_docs(path, Vocab()))
    assert str(caught.value) == f"{path}, document 2: {reason}"
    settings = AnnotateSettings(shard_rows=3)
    [source] = find_inputs([str(path)]).sources
    rows = [row for chunk in cut_source(source, settings) for row in parse_rows(chunk, settings, NLP.vocab, 100)]
    assert [row.line for row in rows] == [1, 2, 3, 4]
    assert [isinstance(row, TextRow) for row in rows] == [True, False, True, True]
    assert rows[1].reason == reason


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("cats", [], "0 cats of 4 documents"),
        ("flags", [{}] * 5, "5 flags of 4 documents"),
        ("span_groups", dict.fromkeys(range(4), b""), "4 span_groups of 4 documents"),
        ("attrs", [], ""),
        ("strings", [1, 2], "something else than a string among the strings"),
    ],
)
def test_lists_that_do_not_fit_together(tmp_path: Path, name: str, value: object, reason: str) -> None:
    docs = make_bin()
    setattr(docs, name, value)
    (tmp_path / "a.spacy").write_bytes(docs.to_bytes())
    with pytest.raises(DataError) as caught:
        list(read_docs(tmp_path / "a.spacy", Vocab()))
    assert str(caught.value).startswith(f"{tmp_path / 'a.spacy'}: not a .spacy file; the file holds no Docs ({reason}")


def test_a_slice_has_all_that_is_stored() -> None:
    docs = parse_docs(make_bin().to_bytes())
    found = list(unpack_docs(slice_docs(docs, 1, 3), Vocab()))
    assert [doc.text for doc in found if isinstance(doc, Doc)] == ["text number 1", "text number 2"]
    assert [doc.spans["own"][0].label_ for doc in found if isinstance(doc, Doc)] == ["S", "S"]
