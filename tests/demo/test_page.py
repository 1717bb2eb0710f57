from __future__ import annotations

import re

import pytest
import spacy
from markupsafe import escape
from spacy.tokens import DocBin
from taught_pipelines import make_taught_pipeline

from spacy_bertft.demo.page import Question, format_answers, format_column
from spacy_bertft.demo.server import _list_examples
from spacy_bertft.errors import DataError
from spacy_bertft.pictures.colors import LABEL_COLORS

TEXT = "show me films with drew barrymore from the 1980s"


@pytest.fixture(scope="module")
def taught(checkpoint):
    return make_taught_pipeline(checkpoint)


@pytest.fixture(scope="module", name="planted")
def load_planted(planted):
    return spacy.load(planted)


def test_each_component_predicts(taught):
    drawn = format_column("model", taught, Question(TEXT, "attention"))
    assert re.findall(r"<h3>(\w+)</h3>", drawn) == ["bert_ner", "bert_textcat", "bert_textcat_multilabel"]
    doc = taught(TEXT)
    assert [ent.label_ for ent in doc.ents] == ["ACTOR", "YEAR"]
    for ent in doc.ents:
        assert f"{ent.text}<span>{ent.label_} {100 * ent._.bertft_score:.1f} %</span>" in drawn
        assert f"background: {LABEL_COLORS[ent.label_]}" in drawn
    for label, prob in doc.cats.items():
        assert f'<th scope="row">{label}</th><td>{100 * prob:.1f} %</td>' in drawn
        assert f"width: {100 * prob:.2f}%" in drawn
    # Two entities and one prediction of each text classifier.
    assert drawn.count('class="spacy-bertft-explanation"') == 4
    assert 'role="alert"' not in drawn


def test_the_longest_bar_comes_first(taught):
    drawn = format_column("model", taught, Question(TEXT, "attention"))
    [first, *_] = re.findall(r'<table class="bars">.*?</table>', drawn)
    widths = [float(width) for width in re.findall(r"width: ([\d.]+)%", first)]
    assert widths == sorted(widths, reverse=True)
    assert sum(widths) == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize(("target", "component"), [("YEAR", "bert_ner"), ("the", "bert_textcat_multilabel")])
def test_a_target_is_explained_alone(taught, target, component):
    drawn = format_column("model", taught, Question(TEXT, "rollout", target))
    assert drawn.count('class="spacy-bertft-explanation"') == 1
    assert re.search(rf"<b>{target}.*</b>", drawn)
    assert f"{component}, rollout;" in drawn


def test_gradients_speak_for_and_against(planted):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    drawn = format_column("model", planted, Question("show me the plot", "gradients", "TOPIC"))
    assert "completeness gap" in drawn
    assert "against it" in drawn
    assert "against it" not in format_column("model", planted, Question("show me the plot", "attention", "TOPIC"))


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        (Question(TEXT, "attention", "PLACE"), "target = 'PLACE'. Expected one of "),
        (Question("who is it", "attention", "YEAR"), "bert_ner has found no entity YEAR in 'who is it'"),
    ],
)
def test_what_cannot_be_explained_is_one_line_in_its_place(taught, question, problem):
    [said] = list_alerts(format_column("model", taught, question))
    assert said.startswith(escape(problem))


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        (Question(" \n", "attention"), "The text is empty. Expected a text with words."),
        (Question(TEXT, "lime"), "method = 'lime'. Expected one of attention, rollout, gradients."),
        (Question("a" * 1_000_001, "attention"), "The text has 1,000,001 characters. Expected 1,000,000 at most."),
    ],
)
def test_one_error_of_several_pipelines_is_shown_once(taught, question, problem):
    alert, *columns = format_answers({"one": taught, "two": taught}, question)
    assert [line[: len(escape(problem))] for line in list_alerts(alert)] == [escape(problem)]
    assert list_alerts("".join(columns)) == []
    assert [re.findall("<h2>(.*)</h2>", column) for column in columns] == [["one"], ["two"]]


def test_a_missing_extra_is_named_once_and_predictions_are_shown(taught, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    alert, *columns = format_answers({"one": taught, "two": taught}, Question(TEXT, "gradients"))
    assert escape("pip install 'spacy-bertft[explain]'") in alert
    assert list_alerts("".join(columns)) == []
    assert all("YEAR" in column and "spacy-bertft-explanation" not in column for column in columns)


def test_answers_that_can_be_explained_have_no_alert(taught):
    alert, column = format_answers({"one": taught}, Question(TEXT, "attention"))
    assert alert == ""
    assert column == format_column("one", taught, Question(TEXT, "attention"))


def test_a_text_without_entities_is_no_error(taught):
    drawn = format_column("model", taught, Question("who is it", "attention"))
    assert "No entities." in drawn
    assert list_alerts(drawn) == []


def test_an_error_of_a_component_is_shown_in_its_column(taught):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner")
    alert, broken, fine = format_answers({"broken": nlp, "fine": taught}, Question(TEXT, "attention"))
    assert alert == ""
    assert 'role="alert">The model has no weights yet.' in broken
    assert 'role="alert"' not in fine


def test_three_examples(taught, tmp_path):
    docs = [taught.make_doc(text) for text in ("one", " ", "two", "one", "three", "four")]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    assert _list_examples(taught, tmp_path / "dev.spacy") == ["one", "two", "three"]
    assert len(_list_examples(taught, None)) == 3  # spaCy's own
    assert _list_examples(spacy.blank("et"), None) == []
    with pytest.raises(DataError, match="no such file"):
        _list_examples(taught, tmp_path / "none.spacy")


def list_alerts(drawn: str) -> list[str]:
    return re.findall(r'<p class="note" role="alert">(.*)</p>', drawn)


def test_texts_are_shown_and_not_run(taught):
    evil = "<script>alert(1)</script> from the 1980s"
    drawn = format_column("model", taught, Question(evil, "attention"))
    assert "<script" not in drawn
    assert "&lt;" in drawn
