from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example
from typer.testing import CliRunner

from spacy_bertft.cli import app

SENTIMENT = {"good": {"POS": 1.0, "NEG": 0.0}, "bad": {"POS": 0.0, "NEG": 1.0}}


@pytest.fixture
def data_path(tmp_path: Path) -> Path:
    nlp = spacy.blank("en")
    docs = [nlp(text) for text in ("so good", "so bad", "not bad")]
    for doc, gold in zip(docs, ("good", "bad", "good"), strict=True):
        doc.cats = SENTIMENT[gold]
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    return tmp_path / "gold.spacy"


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Callable[[str], str]:
    """Train one of spaCy's own text classifiers to find POS in "good" and NEG in "bad"."""

    def make(factory: str) -> str:
        nlp = spacy.blank("en")
        model = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": factory == "textcat", "ngram_size": 1}
        nlp.add_pipe(factory, config={"model": {**model, "no_output_layer": False}})
        examples = [Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in SENTIMENT.items()]
        optimizer = nlp.initialize(lambda: examples)
        optimizer.learn_rate = 0.1
        for _ in range(30):
            nlp.update(examples, sgd=optimizer)
        nlp.to_disk(tmp_path / "model")
        return str(tmp_path / "model")

    return make


def test_exclusive_classes(make_pipeline: Callable[[str], str], data_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output, plot = tmp_path / "scores.json", tmp_path / "confusion.html"
    options = ["--output", str(output), "--plot", str(plot)]
    result = CliRunner().invoke(app, ["evaluate", make_pipeline("textcat"), str(data_path), *options])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["NEG", "50.00", "100.00", "66.67", "75.00", "1"] in lines
    assert "textcat: accuracy 66.67 %; Matthews' correlation 50.00; 3 documents" in " ".join(result.stdout.split())
    assert ["POS", "1", "1"] in lines
    assert srsly.read_json(output)["cats_accuracy"] == pytest.approx(2 / 3)
    page = plot.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<h1>model on gold.spacy</h1>" in page


def test_a_threshold(make_pipeline: Callable[[str], str], data_path: Path) -> None:
    pipeline = make_pipeline("textcat_multilabel")
    result = CliRunner().invoke(app, ["evaluate", pipeline, str(data_path), "--threshold", "0"])
    assert result.exit_code == 0, result.output
    assert "all labels correct in 0.00 % (threshold 0)" in result.stdout
    assert "gold \\ predicted" not in result.stdout


def test_an_error_is_one_line(make_pipeline: Callable[[str], str], data_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", make_pipeline("textcat"), str(data_path), "--plot", "a.pdf"])
    assert result.exit_code == 1
    assert result.stderr == "Error: plot = 'a.pdf'. Expected a name that ends in .html, .png or .svg.\n"


def test_data_that_cannot_be_read(make_pipeline: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "a.spacy"
    path.touch()
    result = CliRunner().invoke(app, ["evaluate", make_pipeline("textcat"), str(path)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {path} cannot be read. Expected a .spacy file")
    assert result.stderr.count("\n") == 1
