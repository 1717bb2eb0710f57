"""From a pipeline and annotated documents to a page of incorrect and correct predictions."""

from __future__ import annotations

import re

import pytest
import spacy
from planted_words import KEYWORDS, plant
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from text_pipelines import MULTILABEL, make_pipeline

from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.predictions import Prediction, format_caption
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.explanation.pipeline import explain
from spacy_bertft.explanation.predictions import choose_predictions, list_judged

ATTENTION = {"method": "attention"}


def judge(nlp, path, name, label=None):
    return list_judged(nlp, path, name, nlp.get_pipe(name), label)


def write_docs(path, docs):
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def test_incorrect_predictions_come_first_and_the_most_confident_of_each(planted, annotated):
    incorrect, correct = explain(planted, str(annotated), **ATTENTION, limit=10)
    assert (incorrect.heading, correct.heading) == ("Incorrect predictions", "Correct predictions")
    texts = plant(30, seed=3)
    assert {"".join(map("".join, zip(a.words, a.spaces, strict=True))) for _, a in incorrect.entries} == {
        text for text, _ in texts[:3]
    }
    assert len(correct.entries) == 7
    for section in (incorrect, correct):
        probs = [attribution.prob for _, attribution in section.entries]
        assert probs == sorted(probs, reverse=True)
    keywords = dict(texts)
    for caption, attribution in incorrect.entries:
        predicted, gold = re.fullmatch(r"predicted (\w+), gold (\w+)", caption).groups()
        text = "".join(map("".join, zip(attribution.words, attribution.spaces, strict=True)))
        assert predicted == attribution.target == KEYWORDS[keywords[text]] != gold


def test_a_limit_is_shared_by_incorrect_and_correct_predictions(nlp, annotated):
    judged = judge(nlp, annotated, "bert_textcat")
    assert [len(each) for each in choose_predictions(judged, 4)] == [2, 2]
    assert [len(each) for each in choose_predictions(judged, 1)] == [1, 0]
    assert [len(each) for each in choose_predictions(judged, 100)] == [3, 27]
    assert [len(each) for each in choose_predictions(judged[:3], 2)] == [2, 0]


def test_every_label_has_its_turn(nlp, annotated):
    """Also where all predictions of one label are more confident than those of another."""
    by_label = {"TITLE": [0.99, 0.98, 0.97, 0.96], "ACTOR": [0.6, 0.5], "TOPIC": [0.7]}
    judged = [
        (None, Prediction("bert_textcat", "category", label, prob=prob, gold=label, is_correct=True))
        for label, probs in by_label.items()
        for prob in probs
    ]
    _, correct = choose_predictions(judged, 5)
    assert [(each.label, each.prob) for _, each in correct] == [
        ("TITLE", 0.99),
        ("TITLE", 0.98),
        ("TOPIC", 0.7),
        ("ACTOR", 0.6),
        ("ACTOR", 0.5),
    ]


def test_entities_are_judged_with_both_ends_and_label(nlp, annotated):
    judged = judge(nlp, annotated, "bert_ner")
    incorrect = [prediction for _, prediction in judged if not prediction.is_correct]
    assert len(judged) > 25
    assert 0 < len(incorrect) <= 3
    for doc, prediction in judged:
        entity = prediction.find_span(doc)
        name = f"{entity.label_} “{entity.text}”"
        expected = f"predicted {name}, gold {name if prediction.is_correct else 'none'}"
        assert format_caption(prediction, doc) == expected


def test_only_predictions_of_a_label(nlp, annotated):
    every, some = judge(nlp, annotated, "bert_textcat"), judge(nlp, annotated, "bert_textcat", "TITLE")
    assert len(some) == sum("TITLE" in (each.label, each.gold) for _, each in every) > 0
    entities = judge(nlp, annotated, "bert_ner", "TITLE")
    assert {each.label for _, each in entities} == {"TITLE"}


def test_of_categories_the_label_is_explained_whatever_is_predicted(planted, annotated):
    sections = explain(planted, str(annotated), target="TITLE", **ATTENTION)
    assert {attribution.target for section in sections for _, attribution in section.entries} == {"TITLE"}


def test_labels_that_may_hold_together(checkpoint, tmp_path):
    """That a label does not hold is a prediction, too, with the rest of its probability."""
    nlp = make_pipeline(checkpoint, "bert_textcat_multilabel", 30)
    docs = [nlp.make_doc(text) for text in TEXTS]
    for doc in docs:
        doc.cats = dict(MULTILABEL[doc.text])
    docs[0].cats["and"] = 1.0 - docs[0].cats["and"]
    judged = judge(nlp, write_docs(tmp_path / "gold.spacy", docs), "bert_textcat_multilabel")
    [(doc, missed)] = [(doc, each) for doc, each in judged if not each.is_correct]
    assert format_caption(missed, doc) == "predicted not and, gold and"
    assert missed.confidence == pytest.approx(1 - nlp(TEXTS[0]).cats["and"])
    assert len(judged) == sum(sum(doc.cats.values()) for doc in docs)


def test_the_page_holds_words_and_captions(planted, annotated, tmp_path):
    path = tmp_path / "new" / "out.html"
    explain(planted, str(annotated), path, **ATTENTION, limit=6)
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "bert_textcat: 3 incorrect of 30 predictions. The most confident of each label are shown." in page
    assert page.index("<h2>Incorrect predictions</h2>") < page.index("<h2>Correct predictions</h2>")
    assert len(re.findall(r"<section>", page)) == 6
    assert len(re.findall(r"<h3>Predicted \w+, gold \w+ <small>\w+ [\d.]+ %</small></h3>", page)) == 6
    assert len(re.findall(r"<details[^>]*><summary>Details</summary>bert_textcat, attention; ", page)) == 6
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_a_text_and_its_page(planted, tmp_path):
    [section] = explain(planted, "show <b>me</b> the godfather", tmp_path / "out.html", **ATTENTION)
    assert [each.component for _, each in section.entries] == ["bert_textcat"]
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;" in page
    [section] = explain(planted, "show me the godfather", component="bert_ner", **ATTENTION)
    assert [each.target for _, each in section.entries] == ["TITLE"]


def test_what_cannot_be_read(planted, annotated, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        explain(planted, str(tmp_path / "none.spacy"), **ATTENTION)
    with pytest.raises(DataError, match="is no pipeline"):
        explain(tmp_path, str(annotated), **ATTENTION)
    with pytest.raises(DataError, match="The text is empty"):
        explain(planted, " \n", **ATTENTION)
    with pytest.raises(SettingError, match=r"html = .*Expected a file whose name ends in \.html"):
        explain(planted, "show", tmp_path / "out.png", **ATTENTION)
    with pytest.raises(SettingError, match="limit = 0"):
        explain(planted, str(annotated), limit=0, **ATTENTION)
    with pytest.raises(SettingError, match="target = 'FILM'"):
        explain(planted, str(annotated), target="FILM", **ATTENTION)


def test_documents_without_gold(planted, nlp, tmp_path):
    path = write_docs(tmp_path / "bare.spacy", [nlp.make_doc(TEXTS[0])])
    with pytest.raises(DataError, match=r"Expected documents with gold categories among ACTOR, NONE, TITLE, TOPIC\."):
        explain(planted, str(path), **ATTENTION)
    with pytest.raises(DataError, match=r"Expected documents with gold entities\."):
        explain(planted, str(path), component="bert_ner", **ATTENTION)


def test_no_prediction_of_a_label(nlp, tmp_path):
    doc = nlp.make_doc("show me the godfather")
    doc.cats = {"TITLE": 1.0}
    doc.set_ents([], default="outside")
    path = write_docs(tmp_path / "gold.spacy", [doc])
    with pytest.raises(DataError, match="bert_ner makes no prediction of ACTOR that gold annotation says something of"):
        judge(nlp, path, "bert_ner", "ACTOR")
    assert isinstance(nlp.get_pipe("bert_ner"), BertNer)


def test_a_pipeline_without_a_component_of_ours(annotated, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="Expected a pipeline with a component of ours"):
        explain(tmp_path / "blank", str(annotated), **ATTENTION)
