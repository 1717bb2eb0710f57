from __future__ import annotations

import math

import pytest
import spacy
from all_heads import make_all_heads
from small_checkpoints import TEXTS
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_bertft.annotation.values import format_json, list_answers, list_entity_groups, read_answers
from spacy_bertft.data import convert_spans, convert_texts


def test_what_a_pipeline_finds(pipeline, ruler, checkpoint):
    assert list_answers(spacy.load(pipeline)) == ("ents", "cats")
    assert list_answers(spacy.load(ruler)) == ("ents",)
    assert list_answers(spacy.load(pipeline, exclude=["bert_ner"])) == ("cats",)
    assert list_answers(spacy.load(pipeline, disable=["bert_textcat", "bert_textcat_multilabel"])) == ("ents",)
    assert list_answers(spacy.blank("en")) == ()
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    assert list_answers(nlp) == ()
    nlp.add_pipe("tagger")
    nlp.add_pipe("bert_textcat", config={"model": {"encoder": {"name": checkpoint}}})
    nlp.add_pipe("future_entity_ruler")
    assert list_answers(nlp) == ("ents", "cats", "tags")


def test_entities_are_those_of_the_pipeline(pipeline):
    nlp = spacy.load(pipeline)
    n_ents = 0
    for text in TEXTS:
        doc = nlp(f"  {text}")
        found = read_answers(doc, {"ents": "e", "cats": "c"})
        assert [(ent["start"], ent["end"], ent["label"]) for ent in found["e"]] == [
            (ent.start_char, ent.end_char, ent.label_) for ent in doc.ents
        ]
        assert [ent["score"] for ent in found["e"]] == [round(ent._.bertft_score, 6) for ent in doc.ents]
        assert found["c"] == {label: round(score, 6) for label, score in doc.cats.items()}
        n_ents += len(doc.ents)
    assert n_ents


def test_entities_of_a_rule_beside_those_of_a_head(pipeline):
    nlp = spacy.load(pipeline)
    ruler = nlp.add_pipe("entity_ruler", before="bert_ner")
    ruler.add_patterns([{"label": "RULE", "pattern": "show me"}])
    doc = nlp(TEXTS[0])
    scores = {ent["label"]: ent["score"] for ent in read_answers(doc, {"ents": "ents"})["ents"]}
    assert scores.pop("RULE", None) is None
    assert scores
    assert all(0 < score <= 1 for score in scores.values())


def test_the_score_of_an_entity_is_that_of_the_component_that_found_it(pipeline):
    nlp = spacy.load(pipeline)
    doc = nlp(TEXTS[0])
    prob = doc.spans["bert_ner"].attrs["scores"][0]
    doc.ents[0]._.bertft_score = 0.123  # as another component writes it of the same span
    assert read_answers(doc, {"ents": "e"}, ["bert_ner"])["e"][0]["score"] == round(prob, 6)


def test_spans_of_every_group_but_those_of_entities(checkpoint):
    nlp = make_all_heads(checkpoint)
    nlp.add_pipe("span_ruler").add_patterns([{"label": "VERB", "pattern": "directed"}])
    assert list_answers(nlp) == ("ents", "cats", "spans", "tags")
    assert list_entity_groups(nlp) == ("bert_ner",)
    doc = nlp(TEXTS[1])
    found = read_answers(doc, {"spans": "x"}, list_entity_groups(nlp))["x"]
    assert found["ruler"] == [{"start": 4, "end": 12, "label": "VERB", "text": "directed", "score": None}]
    assert [(each["start"], each["end"], each["label"], each["text"], each["score"]) for each in found["sc"]] == [
        (span.start_char, span.end_char, span.label_, span.text, round(span._.bertft_score, 6))
        for span in doc.spans["sc"]
    ]
    assert found.keys() == {"sc", "ruler"}
    assert found["sc"]


def test_characters_and_not_bytes_or_tokens():
    doc = Doc(spacy.blank("en").vocab, words=["naïve", "😀", "café"], spaces=[True, False, False])
    doc.ents = [Span(doc, 2, 3, "PLACE")]
    expected = {"start": 7, "end": 11, "label": "PLACE", "text": "café", "score": None}
    assert read_answers(doc, {"ents": "ents"}) == {"ents": [expected]}


def test_tags_of_words(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_tagger", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a b"), {"tags": ["X", "Y"]})])
    assert list_answers(nlp) == ("tags",)
    doc = nlp("show  me\nnow")
    tags = read_answers(doc, {"tags": "tags"})["tags"]
    assert [(tag["start"], tag["end"]) for tag in tags] == [(0, 4), (6, 8), (9, 12)]
    assert {tag["tag"] for tag in tags} <= {"X", "Y"}
    assert read_answers(nlp.make_doc("show"), {"tags": "tags"}) == {"tags": []}


def test_a_document_of_nothing(pipeline):
    nlp = spacy.load(pipeline)
    found = read_answers(nlp(""), {"ents": "ents", "cats": "cats"})
    assert found["ents"] == []
    assert all(math.isfinite(score) for score in found["cats"].values())


@pytest.mark.parametrize("answers", [{}, {"cats": "x_cats"}])
def test_only_what_is_wanted(pipeline, answers):
    assert list(read_answers(spacy.load(pipeline)(TEXTS[0]), answers)) == list(answers.values())


def test_convert_reads_what_is_written(pipeline, tmp_path):
    nlp = spacy.load(pipeline)
    docs = list(nlp.pipe(TEXTS))
    rows = [{"id": 7, "text": doc.text, **read_answers(doc, {"ents": "ents", "cats": "cats"})} for doc in docs]
    (tmp_path / "a.jsonl").write_text("".join(f"{format_json(row)}\n" for row in rows))
    ents, cats = tmp_path / "ents.spacy", tmp_path / "cats.spacy"
    convert_spans(tmp_path / "a.jsonl", ents, kind="ents")
    convert_texts(tmp_path / "a.jsonl", cats)
    written = [DocBin().from_disk(path).get_docs(nlp.vocab) for path in (ents, cats)]
    for doc, with_ents, with_cats in zip(docs, *written, strict=True):
        assert [(ent.text, ent.label_) for ent in with_ents.ents] == [(ent.text, ent.label_) for ent in doc.ents]
        assert with_cats.cats == pytest.approx(doc.cats, abs=1e-6)
