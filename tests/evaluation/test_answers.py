"""Answers are evaluated, reported, calibrated and annotated by the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import srsly
from choice_pipelines import CHOICES, make_choosing
from choice_pipelines import make_examples as make_choices
from question_pipelines import QUESTIONS, make_examples, make_qa
from spacy.tokens import DocBin

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.data.files import import_pyarrow
from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.calibrate import calibrate
from spacy_bertft.evaluation.evaluate import evaluate
from spacy_bertft.evaluation.report import report
from spacy_bertft.explanation.pipeline import explain

WRONG = [(*QUESTIONS[0][:2], "1980s"), *QUESTIONS[1:3]]


@pytest.fixture(scope="module")
def folder(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a pipeline, gold documents of which one is wrong and one is not known, and the texts of questions."""
    folder = tmp_path_factory.mktemp("answers")
    nlp = make_qa(checkpoint, n_steps=40)
    nlp.to_disk(folder / "pipeline")
    golds = [each.reference for each in make_examples(nlp, WRONG)]
    golds.append(nlp.make_doc("a single text"))
    DocBin(docs=golds).to_disk(folder / "gold.spacy")
    srsly.write_jsonl(folder / "texts.jsonl", [{"text": doc.text} for doc in golds])
    return folder


def test_evaluate_and_report_count_answers(folder):
    evaluation = evaluate(folder / "pipeline", folder / "gold.spacy", folder / "scores.json")
    assert evaluation.scores["qa_em"] == pytest.approx(2 / 3)
    assert json.loads((folder / "scores.json").read_text())["qa_has_answer_em"] == 0.5
    notes = evaluation.format_notes()
    assert "exact match 66.67 %" in notes
    assert "bert_qa: documents without a gold answer to compare with: 1" in notes
    [result] = evaluation.results
    assert result.levels[0].counts.by_doc.sum(axis=0).tolist() == [[1, 1], [2, 1], [2, 1]]
    pytest.importorskip("matplotlib")
    report(folder / "pipeline", folder / "gold.spacy", folder / "report.html", n_resamples=10)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Questions with exactly the right answer" in page
    assert "predicted “drew barrymore”, gold 1980s" in page


def test_calibrate_stores_a_threshold(folder):
    found = calibrate(folder / "pipeline", folder / "gold.spacy", folder / "calibrated")
    assert "its predictions are the same, except for which questions get no answer." in str(found)
    assert "bert_qa gives no answer from a probability of" in str(found)
    stored = srsly.read_json(folder / "calibrated" / "bert_qa" / "cfg")
    assert 0 < stored["threshold"] < 1
    assert stored["temperature"] != 1


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_annotate_writes_answers(folder, output_format, tmp_path):
    annotate(folder / "pipeline", [folder / "texts.jsonl"], tmp_path / "out", output_format=output_format)
    if output_format == "parquet":
        pytest.importorskip("pyarrow")
        [path] = (tmp_path / "out").rglob("*.parquet")
        rows = import_pyarrow("a test").parquet.read_table(path).to_pylist()
    else:
        [path] = [each for each in (tmp_path / "out").rglob("*.jsonl") if each.stem[-1].isdigit()]
        rows = list(srsly.read_jsonl(path))
    answers = [row["answers"] for row in rows]
    assert answers[2:] == [[], None]
    for row, (_, _, text) in zip(rows[:2], QUESTIONS[:2], strict=True):
        [answer] = row["answers"]
        assert answer["text"] == text == row["text"][answer["start"] : answer["end"]]
        assert 0.5 < answer["score"] <= 1


def test_answers_are_not_explained(folder):
    with pytest.raises(
        SettingError,
        match="a component of ours that can be explained: bert_ner, bert_textcat, bert_textcat_multilabel or",
    ):
        explain(folder / "pipeline", "who?\x1fme", method="attention")


def test_choices_are_evaluated_reported_and_calibrated(checkpoint, tmp_path):
    nlp = make_choosing(checkpoint, 40)
    nlp.to_disk(tmp_path / "pipeline")
    wrong = [*CHOICES[:3], (*CHOICES[3][:2], 0), (*CHOICES[0][:2], None)]
    golds = [each.reference for each in make_choices(nlp, wrong)]
    DocBin(docs=golds).to_disk(tmp_path / "gold.spacy")
    evaluation = evaluate(tmp_path / "pipeline", tmp_path / "gold.spacy")
    assert (evaluation.scores["choice_acc"], evaluation.scores["choice_support"]) == (0.75, 4)
    notes = evaluation.format_notes()
    assert "accuracy of choices 75.00 %" in notes
    assert "bert_multiple_choice: documents without a gold choice to compare with: 1" in notes
    [result] = evaluation.results
    assert result.levels[0].counts.labels == ("0", "1", "3")
    assert result.levels[0].counts.by_doc.sum(axis=0).tolist() == [[1, 1, 1], [1, 2, 1], [2, 1, 1]]
    found = calibrate(tmp_path / "pipeline", tmp_path / "gold.spacy", tmp_path / "calibrated")
    assert "its predictions are the same." in str(found)
    pytest.importorskip("matplotlib")
    report(tmp_path / "pipeline", tmp_path / "gold.spacy", tmp_path / "report.html", n_resamples=10)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Prompts with the right ending" in page
    assert "predicted 1, gold 0" in page
