from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab
from srsly.msgpack import msgpack_encoders

from spacy_bertft.data import packed
from spacy_bertft.data.columns.docs import make_gold_docs, pack_gold_docs
from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.data.packed import DocWriter, PackedDoc, pack_docs
from spacy_bertft.errors import DataError
from spacy_bertft.tags.schemes import TagSpan

ATTRS = {"ents": ["ENT_IOB", "ENT_TYPE"], "tags": ["TAG"], "spans": []}
# Names of spaCy's own symbols, whose hashes are small numbers, are words and labels too.
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=4) | st.sampled_from(
    ["PERSON", "nsubj", "IS_ALPHA", "\u4e2d", "\U0001f600"]
)
labels = st.sampled_from(["PERSON", "LOC", "creative-work", "\u00c5"])


@st.composite
def gold_sentences(draw: st.DrawFn, kind: str) -> list[GoldSentence]:
    sentences, document = [], 0
    for _ in range(draw(st.integers(1, 8))):
        document += draw(st.booleans())
        own = draw(st.lists(words, min_size=1, max_size=6))
        tags = draw(st.lists(words | st.just(""), min_size=len(own), max_size=len(own))) if kind == "tags" else []
        spans = []
        if kind != "tags":
            bounds = draw(st.lists(st.integers(0, len(own)), max_size=6))
            bounds = bounds if kind == "spans" else sorted(bounds)
            pairs = zip(bounds[::2], bounds[1::2], strict=False)
            spans = [TagSpan(*sorted(pair), draw(labels)) for pair in pairs if pair[0] != pair[1]]
        sentences.append(GoldSentence(own, spans, tags, document))
    return sentences


def assert_same(found: list[Doc], expected: list[Doc], attrs: list[str]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [(token.text, token.whitespace_) for token in one] == [
            (token.text, token.whitespace_) for token in other
        ]
        names = ["ORTH", "SPACY", "SENT_START", "ENT_IOB", "ENT_TYPE", "TAG", *attrs]
        assert np.array_equal(one.to_array(names), other.to_array(names))
        assert [token.tag_ for token in one] == [token.tag_ for token in other]
        assert [(ent.start, ent.end, ent.label_) for ent in one.ents] == [
            (ent.start, ent.end, ent.label_) for ent in other.ents
        ]
        assert one.cats == other.cats
        assert one.has_unknown_spaces == other.has_unknown_spaces
        groups = [
            {key: [(span.start, span.end, span.label_) for span in group] for key, group in doc.spans.items()}
            for doc in (one, other)
        ]
        assert groups[0] == groups[1]


def write(docs: list[PackedDoc], attrs: list[str], path: Path) -> list[Doc]:
    writer = DocWriter(attrs)
    for doc in docs:
        writer.add(doc)
    writer.write(path)
    # The Docs are read with a vocabulary that knows none of the strings.
    return list(DocBin().from_disk(path).get_docs(Vocab()))


@pytest.mark.parametrize("n_sents", [1, 3])
@pytest.mark.parametrize("kind", ["ents", "tags", "spans"])
def test_sentences_are_written_as_their_docs_are(tmp_path_factory, kind: str, n_sents: int) -> None:
    path = tmp_path_factory.mktemp("packed") / "a.spacy"
    attrs, key = [*ATTRS[kind], *(["SENT_START"] if n_sents > 1 else [])], "sc" if kind == "spans" else None

    @given(gold_sentences(kind))
    def check(sentences: list[GoldSentence]) -> None:
        docs = list(make_gold_docs(Vocab(), sentences, n_sents, key))
        packed = list(pack_gold_docs(Vocab(), sentences, DocWriter(attrs).attrs, n_sents, key))
        found = write(packed, attrs, path)
        assert_same(found, docs, attrs)
        stored = DocBin(attrs=attrs, docs=docs).to_bytes()
        assert_same(found, list(DocBin().from_bytes(stored).get_docs(Vocab())), attrs)

    check()


def test_docs_are_written_as_spacy_does(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    docs = [nlp("It's  in New York. "), Doc(nlp.vocab, ["no", "blanks"]), nlp("")]
    docs[0].ents, docs[0].cats = [Span(docs[0], 4, 6, "LOC")], {"a": 1.0, "b": 0.25}
    docs[1].spans["x"], docs[1].spans["empty"] = [Span(docs[1], 0, 1, "P"), Span(docs[1], 0, 2, "Q")], []
    attrs = ["ENT_IOB", "ENT_TYPE"]
    packed = list(pack_docs(iter, lambda doc: [], docs, DocWriter(attrs).attrs))
    assert_same(write(packed, attrs, tmp_path / "a.spacy"), docs, attrs)
    assert write([], attrs, tmp_path / "b.spacy") == []


def test_more_than_a_file_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_MAX_BYTES", 15)
    with pytest.raises(DataError, match=r"a\.spacy: 16 bytes of tokens\. A \.spacy file holds"):
        write([PackedDoc(["a", "b"], 2 * packed.pack_token("a"))], [], tmp_path / "a.spacy")


def test_installed_packages_are_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = DocWriter([])
    monkeypatch.setattr(msgpack_encoders, "get_all", lambda: 1 / 0)
    writer.add(PackedDoc(["a"], packed.pack_token("a"), cats={"x": 1.0}, groups=b"\x90"))
    writer.write(tmp_path / "a.spacy")
