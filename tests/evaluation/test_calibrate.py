"""`calibrate` stores one number in a pipeline, and harms nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import spacy
import srsly
import text_pipelines
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.evaluation.calibrate import calibrate
from spacy_bertft.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def trained(checkpoint: str) -> Callable[[Path], Path]:
    nlp = text_pipelines.make_pipeline(checkpoint, "bert_textcat", n_steps=20)

    def write(path: Path) -> Path:
        nlp.to_disk(path)
        return path

    return write


def write_gold(path: Path, cats: Mapping[str, Mapping[str, float]]) -> Path:
    nlp = spacy.blank("en")
    docs = [example.reference for example in text_pipelines.make_examples(nlp, dict(cats))]
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def make_wrong(cats: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    first, second = list(cats)[:2]
    return {**cats, first: cats[second], second: cats[first]}


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_pipeline_is_changed_where_it_stands(trained, tmp_path: Path) -> None:
    pipeline = trained(tmp_path / "model")
    before, weights = list_files(pipeline), (pipeline / "bert_textcat" / "model").stat()
    dev = write_gold(tmp_path / "dev.spacy", make_wrong(text_pipelines.EXCLUSIVE))
    test = write_gold(tmp_path / "test.spacy", text_pipelines.EXCLUSIVE)
    report = calibrate(pipeline, dev, test_path=test)
    assert [(one.component, one.data, one.n_predictions) for one in report.figures] == [
        ("bert_textcat", dev, 5),
        ("bert_textcat", test, 5),
    ]
    one = report.figures[0]
    assert one.temperature > 1
    assert one.log_losses[1] < one.log_losses[0]
    after = list_files(pipeline)
    assert {name for name in after if after[name] != before.get(name)} == {"bert_textcat/cfg"}
    assert os.path.samestat((pipeline / "bert_textcat" / "model").stat(), weights)  # not copied
    assert srsly.read_json(pipeline / "bert_textcat" / "cfg")["temperature"] == pytest.approx(one.temperature)
    again = calibrate(pipeline, dev).figures[0]
    assert again.temperature == pytest.approx(one.temperature)
    assert again.before.calibration_error == pytest.approx(again.after.calibration_error)


def test_evaluate_tells_the_same_error(trained, tmp_path: Path) -> None:
    dev = write_gold(tmp_path / "dev.spacy", make_wrong(text_pipelines.EXCLUSIVE))
    pipeline = trained(tmp_path / "model")
    error = calibrate(pipeline, dev).figures[0].after.calibration_error
    evaluation = evaluate(pipeline, dev)
    assert evaluation.scores["calibration_error"]["bert_textcat"] == pytest.approx(error, abs=1e-6)
    assert f"expected calibration error of bert_textcat {100 * error:.2f} %" in evaluation.format_notes()


def test_into_another_folder(trained, tmp_path: Path) -> None:
    pipeline = trained(tmp_path / "model")
    before = list_files(pipeline)
    dev = write_gold(tmp_path / "dev.spacy", make_wrong(text_pipelines.EXCLUSIVE))
    report = calibrate(pipeline, dev, tmp_path / "new")
    assert list_files(pipeline) == before
    stored = spacy.load(tmp_path / "new").get_pipe("bert_textcat").cfg["temperature"]
    assert stored == pytest.approx(report.figures[0].temperature)


def test_only_right_answers_teach_nothing(trained, tmp_path: Path) -> None:
    pipeline = trained(tmp_path / "model")
    report = calibrate(pipeline, write_gold(tmp_path / "dev.spacy", text_pipelines.EXCLUSIVE))
    assert report.not_fitted == ("bert_textcat",)
    assert "Left as they were" in str(report)
    assert spacy.load(pipeline).get_pipe("bert_textcat").cfg["temperature"] == 1.0


def test_a_temperature_and_a_promise_stay_where_nothing_is_said(trained, tmp_path: Path) -> None:
    nlp = spacy.load(trained(tmp_path / "model"))
    fitted = {"temperature": 2.0, "guarantee": {"log_threshold": -1.5, "n_docs": 50, "recall": 0.9}}
    nlp.get_pipe("bert_textcat").cfg.update(fitted)
    nlp.to_disk(tmp_path / "model")
    calibrate(tmp_path / "model", write_gold(tmp_path / "dev.spacy", {text: {} for text in text_pipelines.EXCLUSIVE}))
    kept = spacy.load(tmp_path / "model").get_pipe("bert_textcat").cfg
    assert {name: kept[name] for name in fitted} == fitted


@pytest.mark.parametrize(("threshold", "is_told"), [(0.5, False), (0.2, True)])
def test_predictions_that_may_change_are_named(checkpoint: str, tmp_path: Path, threshold: float, is_told: bool):
    nlp = text_pipelines.make_pipeline(checkpoint, "bert_textcat_multilabel", threshold=threshold)
    nlp.to_disk(tmp_path / "model")
    report = calibrate(tmp_path / "model", write_gold(tmp_path / "dev.spacy", text_pipelines.MULTILABEL))
    assert ("except for which of bert_textcat_multilabel reach min_score or threshold" in str(report)) == is_told


@pytest.mark.parametrize("ending", ["html", "png"])
def test_the_command_and_its_picture(trained, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    pipeline = trained(tmp_path / "model")
    dev = write_gold(tmp_path / "dev.spacy", make_wrong(text_pipelines.EXCLUSIVE))
    plot = tmp_path / f"trust.{ending}"
    result = CliRunner().invoke(app, ["calibrate", str(pipeline), str(dev), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    assert "bert_textcat, dev" in result.output
    content = plot.read_bytes()
    assert content.startswith(b"<!doctype html>" if ending == "html" else b"\x89PNG")
    if ending == "html":
        assert b"min_score" in content
        assert b"calibration error" in content


def test_failures_come_in_one_line_and_change_nothing(trained, tmp_path: Path) -> None:
    pipeline = trained(tmp_path / "model")
    before = list_files(pipeline)
    dev = write_gold(tmp_path / "dev.spacy", text_pipelines.EXCLUSIVE)
    with pytest.raises(DataError, match="is no file"):
        calibrate(pipeline, tmp_path / "none.spacy")
    with pytest.raises(DataError, match="is no file"):
        calibrate(pipeline, dev, test_path=tmp_path / "none.spacy")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="would be lost"):
        calibrate(pipeline, dev, tmp_path / "mine")
    with pytest.raises(SettingError, match="installed pipeline"):
        calibrate("en_core_nothing", dev)
    spacy.blank("en").to_disk(tmp_path / "blank")
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "blank"), str(dev)])
    assert result.exit_code == 1
    assert (
        "bert_ner, bert_spancat, bert_textcat, bert_textcat_multilabel, bert_qa or bert_multiple_choice"
        in result.output.replace("\n", " ")
    )
    assert list_files(pipeline) == before
