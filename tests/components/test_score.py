"""Scores of entities belong to characters and labels, whatever spaCy does to the document."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import TEXTS, make_checkpoint
from spacy.language import Language
from spacy.pipeline.functions import merge_entities
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.tokens.underscore import Underscore
from spacy.training import Example

from spacy_bertft.annotation.values import read_answers
from spacy_bertft.checkpoints import read_head
from spacy_bertft.components.entity_scores import find_score, find_scores, register_score, set_score, write_entities
from spacy_bertft.components.predictions import list_entities, stack_judged
from spacy_bertft.data.char_spans import CharSpanGroup
from spacy_bertft.demo.page import Question, format_column
from spacy_bertft.explanation import attribute_entities

NLP = spacy.blank("en")
# Neighbours of the same label, two labels for the same characters, and one entity at the end of the text.
ENTITIES = [
    (1, 3, "CITY", 0.9),
    (3, 4, "CITY", 0.8),
    (4, 7, "TEAM", 0.7),
    (4, 7, "BAND", 0.6),
    (8, 10, "PERSON", 0.5),
]
WORDS = ["in", "New", "York", "Boston", "the", "Red", "Sox", "met", "Drew", "Barrymore"]
Transport = Callable[[Doc], Doc]


@pytest.fixture(autouse=True)
def extensions(monkeypatch):
    """Start from no extension attribute but ours, and leave none behind."""
    monkeypatch.setattr(Underscore, "span_extensions", {})
    register_score()


def make_doc() -> Doc:
    doc = Doc(NLP.vocab, words=WORDS)
    entities = [(Span(doc, start, end, label), score) for start, end, label, score in ENTITIES]
    write_entities(doc, "ner", entities)
    doc.ents = [span for span, _ in entities if span.label_ != "BAND"]
    return doc


def list_expected(doc: Doc) -> dict[tuple[str, str], float]:
    return {(doc[start:end].text, label): score for start, end, label, score in ENTITIES}


def read_scores(doc: Doc) -> dict[tuple[str, str], float | None]:
    return {(ent.text, ent.label_): ent._.bertft_score for ent in [*doc.ents, *doc.spans["ner"]]}


def go_through_doc_bin(doc: Doc, **options: bool) -> Doc:
    [found] = DocBin().from_bytes(DocBin(docs=[doc], **options).to_bytes()).get_docs(spacy.blank("en").vocab)
    return found


TRANSPORTS: dict[str, Transport] = {
    "copy": Doc.copy,
    "bytes": lambda doc: Doc(NLP.vocab).from_bytes(doc.to_bytes()),
    "pickle": lambda doc: pickle.loads(pickle.dumps(doc)),
    "DocBin": go_through_doc_bin,
    "DocBin with user data": lambda doc: go_through_doc_bin(doc, store_user_data=True),
    "json": lambda doc: Doc(NLP.vocab).from_json(doc.to_json(underscore=["bertft_score"])),
    "from_docs": lambda doc: Doc.from_docs([NLP.make_doc("show me"), doc]),
}
transports = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)


@transports
def test_scores_survive_the_ways_of_spacy(transport):
    doc = make_doc()
    assert read_scores(transport(doc)) == list_expected(doc)


@transports
def test_scores_survive_merging_entities(transport):
    doc = make_doc()
    expected = list_expected(doc)
    merged = merge_entities(doc)
    assert [token.text for token in merged] == ["in", "New York", "Boston", "the Red Sox", "met", "Drew Barrymore"]
    assert read_scores(merged) == read_scores(transport(merged)) == expected
    assert [ent._.bertft_score for ent in merged.ents] == [0.9, 0.8, 0.7, 0.5]
    assert list(merged.spans["ner"].attrs["scores"]) == [score for *_, score in ENTITIES]


@pytest.mark.parametrize("copies", [True, False])
def test_scores_in_a_part_of_a_document(copies):
    part = make_doc()[3:8].as_doc(copy_user_data=copies)
    expected = {"Boston": 0.8, "the Red Sox": 0.7} if copies else {"Boston": None, "the Red Sox": None}
    assert {ent.text: ent._.bertft_score for ent in part.ents} == expected


def test_scores_survive_splitting_a_token():
    doc = make_doc()
    expected = list_expected(doc)
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[0], ["i", "n"], heads=[(doc[0], 1), doc[1]])
        retokenizer.split(doc[9], ["Barry", "more"], heads=[(doc[9], 1), doc[8]])
    assert read_scores(doc) == read_scores(doc.copy()) == expected


@given(st.lists(st.integers(0, len(WORDS) - 1), min_size=1, max_size=4, unique=True), st.booleans())
def test_merging_gives_no_score_to_another_entity(bounds: list[int], is_copied: bool) -> None:
    """Whatever is merged: a score is only found for the characters and the label that it belongs to."""
    doc = make_doc()
    expected = {
        (doc[start:end].start_char, doc[start:end].end_char, label): score for start, end, label, score in ENTITIES
    }
    with doc.retokenize() as retokenizer:
        edges = sorted(bounds)
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            retokenizer.merge(doc[start : end + 1])
    doc = doc.copy() if is_copied else doc
    DocBin(docs=[doc], store_user_data=True).to_bytes()
    spans = [Span(doc, start, end, label) for start in range(len(doc)) for end in range(start + 1, len(doc) + 1)
             for label in ("CITY", "TEAM", "BAND", "PERSON")]  # fmt: skip
    for span in spans:
        assert find_score(span) == expected.get((span.start_char, span.end_char, span.label_))


def test_of_two_components_each_has_its_own_score():
    doc = make_doc()
    write_entities(doc, "other", [(Span(doc, 1, 3, "CITY"), 0.3), (Span(doc, 3, 4, "CITY"), 0.2)])
    assert find_scores(doc, doc.ents, ["ner"]) == [0.9, 0.8, 0.7, 0.5]
    assert find_scores(doc, doc.ents, ["other", "missing"]) == find_scores(doc, doc.ents, []) == [0.3, 0.2, 0.7, 0.5]


def test_a_component_that_runs_again_replaces_its_scores():
    doc = make_doc()
    span = Span(doc, 1, 3, "CITY")
    write_entities(doc, "ner", [(Span(doc, 3, 4, "CITY"), 0.3)])
    assert span._.bertft_score is None
    assert Span(doc, 4, 7, "BAND")._.bertft_score is None
    assert [ent._.bertft_score for ent in doc.spans["ner"]] == [0.3]
    assert len(doc.user_data) == 1


def test_a_setter_that_stores():
    doc = make_doc()
    span, other = Span(doc, 1, 3, "CITY"), Span(doc, 1, 3, "STATE")
    span._.bertft_score = 0.25
    other._.bertft_score = 0.125
    assert (doc.ents[0]._.bertft_score, other._.bertft_score) == (0.25, 0.125)
    set_score(span, None)
    assert (doc.ents[0]._.bertft_score, doc.copy()[1:3]._.bertft_score) == (None, None)
    assert Span(doc.copy(), 1, 3, "STATE")._.bertft_score == 0.125


def test_scores_of_others_are_not_ours():
    """`spancat` writes its scores to `doc.spans` too."""
    doc = make_doc()
    span = Span(doc, 0, 1, "PLACE")
    doc.spans["sc"] = SpanGroup(doc, name="sc", spans=[span], attrs={"scores": np.array([0.99])})
    doc.user_data["._.", "score", span.start_char, span.end_char] = 0.98
    assert span._.bertft_score is None


@pytest.fixture(scope="module")
def nlp(tmp_path_factory) -> Language:
    """A pipeline with a random head that finds something in every text, and merges it."""
    names = {"id2label": dict(enumerate(["O", "B-X", "I-X", "B-Y", "I-Y"]))}
    checkpoint = str(make_checkpoint(tmp_path_factory.mktemp("bert"), "bert", 5, **names))
    nlp = spacy.blank("en")
    model = {"decoder": "viterbi", "encoder": {"name": checkpoint, "precision": "fp32"}}
    nlp.add_pipe("bert_ner", config={"model": model}).take_head(read_head(checkpoint, "token"))
    nlp.add_pipe("merge_entities")
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), {})])
    return nlp


def read_by_chars(doc: Doc) -> list[tuple[int, int, str, float]]:
    return [(ent.start_char, ent.end_char, ent.label_, round(ent._.bertft_score, 5)) for ent in doc.ents]


@pytest.mark.process
def test_a_pipeline_that_merges_entities(nlp):
    """Every score is that of the same pipeline without `merge_entities`, here and from other processes."""
    with nlp.select_pipes(disable=["merge_entities"]):
        docs = list(nlp.pipe(TEXTS))
        expected = [read_by_chars(doc) for doc in docs]
    merged = list(nlp.pipe(TEXTS))
    assert sum(len(doc) for doc in merged) < sum(len(doc) for doc in docs)
    assert [read_by_chars(doc) for doc in merged] == expected
    assert [read_by_chars(doc.copy()) for doc in merged] == expected
    assert [read_by_chars(doc) for doc in nlp.pipe(TEXTS, n_process=2, batch_size=2)] == expected
    assert any(doc.ents[-1].end == len(doc) for doc in merged if doc.ents)


def test_our_own_code_after_merging(nlp):
    doc = nlp(TEXTS[0])
    rows = read_answers(doc, {"ents": "ents"})["ents"]
    assert [(row["start"], row["end"], row["label"], round(row["score"], 5)) for row in rows] == read_by_chars(doc)
    page = format_column("model", nlp, Question(TEXTS[0], "attention"))
    assert all(f"{ent.label_} {100 * ent._.bertft_score:.1f} %" in page for ent in doc.ents)
    assert len(attribute_entities(nlp, doc, method="attention")) == len(doc.ents)
    example = Example(doc, doc.copy())
    probs, is_correct = stack_judged(list_entities("bert_ner", example))
    assert probs.tolist() == [ent._.bertft_score for ent in doc.ents]
    assert is_correct.all()


def test_score_belongs_to_the_user(nlp):
    """Before and after: the user's extension `score` is neither refused nor read nor written."""
    Span.set_extension("score", default=None)
    loaded = spacy.blank("en")
    loaded.add_pipe("bert_ner", source=nlp)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spacy.blank("en").add_pipe("bert_ner")
    doc = loaded(TEXTS[0])
    assert all(ent._.score is None and ent._.bertft_score > 0 for ent in doc.ents)
    doc.ents[0]._.score = "mine"
    assert doc.ents[0]._.score == "mine"
    assert 0 < doc.ents[0]._.bertft_score <= 1
    rows = read_answers(doc, {"ents": "ents"})["ents"]
    assert [row["score"] for row in rows] == [pytest.approx(ent._.bertft_score, abs=1e-6) for ent in doc.ents]


def test_the_user_may_register_score_after_us(nlp):
    assert nlp(TEXTS[0]).ents[0]._.bertft_score
    assert not Span.has_extension("score")
    Span.set_extension("score", getter=lambda span: len(span))
    assert nlp(TEXTS[0]).ents[0]._.score == 1


def test_another_name_for_the_scores():
    doc = make_doc()
    register_score("score")
    register_score("score")
    doc.ents[0]._.score = 0.5
    assert doc.ents[0]._.score == doc.ents[0]._.bertft_score == 0.5


def test_a_name_that_is_taken_stays_with_its_owner_and_a_warning_says_so():
    Span.set_extension("score", default="theirs")
    with pytest.warns(
        UserWarning, match=r"span\._\.score is .* Read the scores of entities from span\._\.bertft_score"
    ):
        register_score("score")
    doc = make_doc()
    assert (doc.ents[0]._.score, doc.ents[0]._.bertft_score) == ("theirs", 0.9)


def test_groups_read_from_bytes_are_found_by_characters():
    """A `DocBin` gives spaCy's own groups, which are stale once tokens are merged."""
    doc = go_through_doc_bin(make_doc())
    assert not isinstance(doc.spans["ner"], CharSpanGroup)
    merge_entities(doc)
    assert [ent._.bertft_score for ent in doc.ents] == [0.9, 0.8, 0.7, 0.5]
