from __future__ import annotations

import pytest
import spacy
from spacy.tokens import DocBin
from taught_pipelines import GOLD, make_examples, make_taught_pipeline
from typer.testing import CliRunner

from spacy_bertft.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory, checkpoint):
    folder = tmp_path_factory.mktemp("report")
    nlp = make_taught_pipeline(checkpoint, {"bert_ner": GOLD["bert_ner"]})
    nlp.to_disk(folder / "model")
    DocBin(docs=[each.reference for each in make_examples(nlp, GOLD["bert_ner"])]).to_disk(folder / "dev.spacy")
    return folder


def test_a_page_and_what_it_says(folder):
    pytest.importorskip("matplotlib")
    paths = [str(folder / name) for name in ("model", "dev.spacy", "new/out.html")]
    options = ["--against", paths[0], "--n-errors", "3", "--resamples", "50", "--seed", "2"]
    done = CliRunner().invoke(app, ["report", *paths, *options])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["bert_ner,", "entities", "100.00", "(100.00", "to", "100.00)", "4"] in lines
    assert "4 documents; the page is" in done.stdout
    assert done.stderr == ""
    page = (folder / "new" / "out.html").read_text(encoding="utf-8")
    assert "drawn with replacement 50 times, seed 2" in page
    # Two pipelines of one name go by their paths.
    assert f">{paths[0]} and {paths[0]}</h2>" in page


def test_an_error_is_one_line(folder, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    command = ["report", str(tmp_path / "blank"), str(folder / "dev.spacy"), str(tmp_path / "out.html")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    factories = (
        "bert_ner, bert_spancat, bert_tagger, bert_textcat, bert_textcat_multilabel, bert_regressor, bert_qa or "
        "bert_multiple_choice"
    )
    expected = f"a pipeline with {factories}; this has none"
    assert done.stderr == f"Error: pipeline = {str(tmp_path / 'blank')!r}. Expected {expected}.\n"
