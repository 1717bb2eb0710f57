"""From a pipeline and annotated documents to a page of wrong and right answers."""

from __future__ import annotations

import re

import pytest
import spacy
from planted_words import KEYWORDS, plant
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from text_pipelines import MULTILABEL, make_pipeline

from spacy_bertft.components.ner import BertNer
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.explain.judged import choose_answers, judge_answers
from spacy_bertft.explain.pipeline import explain_data, explain_text

ATTENTION = {"method": "attention"}


def judge(nlp, path, name, label=None):
    return judge_answers(nlp, path, name, nlp.get_pipe(name), label)


def write_docs(path, docs):
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def test_wrong_answers_come_first_and_the_most_confident_of_each(planted, annotated):
    wrong, right = explain_data(planted, annotated, **ATTENTION, limit=10)
    assert (wrong.heading, right.heading) == ("Wrong answers", "Right answers")
    texts = plant(30, seed=3)
    assert {"".join(map("".join, zip(a.words, a.spaces, strict=True))) for _, a in wrong.entries} == {
        text for text, _ in texts[:3]
    }
    assert len(right.entries) == 7
    for section in (wrong, right):
        probs = [attribution.prob for _, attribution in section.entries]
        assert probs == sorted(probs, reverse=True)
    keywords = dict(texts)
    for caption, attribution in wrong.entries:
        predicted, gold = re.fullmatch(r"predicted (\w+), gold (\w+)", caption).groups()
        text = "".join(map("".join, zip(attribution.words, attribution.spaces, strict=True)))
        assert predicted == attribution.target == KEYWORDS[keywords[text]] != gold


def test_a_limit_is_shared_by_wrong_and_right_answers(nlp, annotated):
    answers = judge(nlp, annotated, "bert_textcat")
    assert [len(each) for each in choose_answers(answers, 4)] == [2, 2]
    assert [len(each) for each in choose_answers(answers, 1)] == [1, 0]
    assert [len(each) for each in choose_answers(answers, 100)] == [3, 27]
    assert [len(each) for each in choose_answers(answers[:3], 2)] == [2, 0]


def test_entities_are_judged_with_both_ends_and_label(nlp, annotated):
    answers = judge(nlp, annotated, "bert_ner")
    wrong = [answer for answer in answers if not answer.is_right]
    assert len(answers) > 25
    assert {answer.gold for answer in wrong} == {"none"}
    assert 0 < len(wrong) <= 3
    for answer in answers:
        assert answer.predicted == f"{answer.target.label_} “{answer.target.text}”"
        assert answer.gold == (answer.predicted if answer.is_right else "none")


def test_only_answers_that_are_about_a_label(nlp, annotated):
    every, some = judge(nlp, annotated, "bert_textcat"), judge(nlp, annotated, "bert_textcat", "TITLE")
    assert len(some) == sum("TITLE" in (answer.predicted, answer.gold) for answer in every) > 0
    assert {answer.target for answer in some} == {"TITLE"}
    entities = judge(nlp, annotated, "bert_ner", "TITLE")
    assert {answer.target.label_ for answer in entities} == {"TITLE"}


def test_labels_that_may_hold_together(checkpoint, tmp_path):
    """Those that are missed are answers too, as sure as the label was thought not to hold."""
    nlp = make_pipeline(checkpoint, "bert_textcat_multilabel", 30)
    docs = [nlp.make_doc(text) for text in TEXTS]
    for doc in docs:
        doc.cats = dict(MULTILABEL[doc.text])
    docs[0].cats["and"] = 1.0 - docs[0].cats["and"]
    answers = judge(nlp, write_docs(tmp_path / "gold.spacy", docs), "bert_textcat_multilabel")
    [missed] = [answer for answer in answers if not answer.is_right]
    assert (missed.target, missed.predicted, missed.gold) == ("and", "not and", "and")
    assert missed.confidence == pytest.approx(1 - nlp(TEXTS[0]).cats["and"])
    assert len(answers) == sum(sum(doc.cats.values()) for doc in docs)


def test_the_page_holds_words_and_captions(planted, annotated, tmp_path):
    path = tmp_path / "new" / "out.html"
    explain_data(planted, annotated, path, **ATTENTION, limit=6)
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "bert_textcat: 3 of 30 answers are wrong. The most confident come first." in page
    assert page.index("<h2>Wrong answers</h2>") < page.index("<h2>Right answers</h2>")
    assert len(re.findall(r"<section>", page)) == 6
    assert len(re.findall(r"<strong>predicted \w+, gold \w+</strong>", page)) == 6
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_a_text_and_its_page(planted, tmp_path):
    found = explain_text(planted, "show <b>me</b> the godfather", tmp_path / "out.html", **ATTENTION)
    assert [each.component for each in found] == ["bert_textcat"]
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;" in page
    entities = explain_text(planted, "show me the godfather", component="bert_ner", **ATTENTION)
    assert [each.target for each in entities] == ["TITLE"]


def test_what_cannot_be_read(planted, annotated, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        explain_data(planted, tmp_path / "none.spacy", **ATTENTION)
    with pytest.raises(DataError, match="is no pipeline"):
        explain_data(tmp_path, annotated, **ATTENTION)
    with pytest.raises(DataError, match="The text is empty"):
        explain_text(planted, " \n", **ATTENTION)
    with pytest.raises(SettingError, match=r"html = .*Expected a file whose name ends in \.html"):
        explain_text(planted, "show", tmp_path / "out.png", **ATTENTION)
    with pytest.raises(SettingError, match="limit = 0"):
        explain_data(planted, annotated, limit=0, **ATTENTION)
    with pytest.raises(SettingError, match="target = 'FILM'"):
        explain_data(planted, annotated, target="FILM", **ATTENTION)


def test_documents_without_gold(planted, nlp, tmp_path):
    path = write_docs(tmp_path / "bare.spacy", [nlp.make_doc(TEXTS[0])])
    with pytest.raises(DataError, match=r"no document has gold categories among ACTOR, NONE, TITLE, TOPIC\. Expected"):
        explain_data(planted, path, **ATTENTION)
    with pytest.raises(DataError, match="no document has gold entities"):
        explain_data(planted, path, component="bert_ner", **ATTENTION)


def test_no_answer_about_a_label(nlp, tmp_path):
    doc = nlp.make_doc("show me the godfather")
    doc.cats = {"TITLE": 1.0}
    doc.set_ents([], default="outside")
    path = write_docs(tmp_path / "gold.spacy", [doc])
    with pytest.raises(DataError, match="bert_ner gives no answer about ACTOR that the gold annotation could judge"):
        judge(nlp, path, "bert_ner", "ACTOR")
    assert isinstance(nlp.get_pipe("bert_ner"), BertNer)


def test_a_pipeline_without_a_component_of_ours(annotated, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="Expected a pipeline with a component of ours"):
        explain_data(tmp_path / "blank", annotated, **ATTENTION)
