from __future__ import annotations

import pytest
import spacy
from spacy.tokens import DocBin, Span

from spacy_bertft.annotation.chunks import cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.rows import parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings

NLP = spacy.blank("en")


def cut(path, **settings) -> list:
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, AnnotateSettings(**settings)))
    assert sum(chunk.weight for chunk in chunks) == path.stat().st_size
    return chunks


@pytest.mark.parametrize("keeps_user_data", [True, False])
def test_all_that_stands_on_a_document_is_kept(tmp_path, keeps_user_data):
    docs = []
    for number in range(5):
        doc = NLP.make_doc(f"text number {number}")
        doc.cats = {"x": 0.5 * number}
        doc.user_data["columns"] = {"id": number}
        doc.ents = [Span(doc, 1, 2, f"L{number}")]
        doc.spans["own"] = [Span(doc, 0, 2, "S")]
        docs.append(doc)
    DocBin(docs=docs, store_user_data=keeps_user_data).to_disk(tmp_path / "a.spacy")
    vocab = spacy.blank("en").vocab
    chunks = cut(tmp_path / "a.spacy", shard_rows=2)
    rows = [row for chunk in chunks for row in parse_rows(chunk, AnnotateSettings(), vocab, 100)]
    assert len(chunks) == 3
    for before, row in zip(docs, rows, strict=True):
        after = row.text
        assert (after.text, after.cats, after.ents[0].label_) == (before.text, before.cats, before.ents[0].label_)
        assert [span.label_ for span in after.spans["own"]] == ["S"]
        assert after.user_data == (before.user_data if keeps_user_data else {})


def test_size_decides_too(tmp_path):
    DocBin(docs=[NLP.make_doc("one two three four")] * 10).to_disk(tmp_path / "a.spacy")
    assert [chunk.first_row for chunk in cut(tmp_path / "a.spacy", shard_mb=0.00006)] == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("content", [b"", b"text\n" * 50, "truncated"])
def test_a_file_that_holds_no_docs(tmp_path, content):
    if content == "truncated":
        content = DocBin(docs=[NLP.make_doc("a b c d e f g")]).to_bytes()[:-20]
    (tmp_path / "a.spacy").write_bytes(content)
    [chunk] = cut(tmp_path / "a.spacy")
    [(line, reason)] = chunk.problems
    assert line is None
    assert reason.startswith("the file holds no Docs (")
    assert "\n" not in reason
    assert list(parse_rows(chunk, AnnotateSettings(), NLP.vocab, 100)) == chunk.problems
