"""`spacy-bertft train` and `resume`; what they do to a pipeline is in tests/resume."""

from __future__ import annotations

import pytest
import spacy
import torch
from resumed_runs import make_config, make_data
from spacy.tokens import DocBin
from spacy.util import registry
from typer.testing import CliRunner

from spacy_bertft.cli import app

CODE = """
import spacy

@spacy.registry.callbacks("tests.mark.v1")
def mark():
    def call(nlp):
        nlp.meta["mark"] = "here"
        return nlp
    return call
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_data(tmp_path_factory.mktemp("train"))
    config = make_config(folder, {"training.before_to_disk": {"@callbacks": "tests.mark.v1"}})
    config.to_disk(folder / "config.cfg", interpolate=False)
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(folder, output, *options):
    code = ("--code", folder / "code.py")
    return invoke("train", folder / "config.cfg", "--output", output, *code, "--training.max_steps", 1, *options)


def test_code_and_settings_of_the_command_line(folder, tmp_path):
    done = train(folder, tmp_path / "out")
    assert done.exit_code == 0, done.output
    nlp = spacy.load(tmp_path / "out" / "model-last")
    assert nlp.config["training"]["max_steps"] == 1
    assert nlp.meta["mark"] == "here"


def test_all_data(folder, tmp_path):
    done = train(folder, tmp_path / "out", "--all-data")
    assert done.exit_code == 0, done.output
    nlp = spacy.load(tmp_path / "out" / "model-last")
    config = nlp.config.interpolate()
    read = registry.resolve({"corpus": config["corpora"]["train"]})["corpus"]
    both = [doc.text for name in ("train", "dev") for doc in read_docs(folder / f"{name}.spacy")]
    assert [example.reference.text for example in read(nlp)] == both
    assert "mark" not in nlp.meta  # nothing is calibrated on what was learned from


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_overwrite(folder, tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "progress.json").write_text("{}", encoding="utf-8")
    done = train(folder, tmp_path)
    assert done.exit_code == 1
    assert "spacy-bertft resume" in " ".join(done.output.split())
    done = train(folder, tmp_path, "--overwrite")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "snapshot").exists()


def test_what_is_left_of_a_removed_snapshot_is_none(folder, tmp_path):
    (tmp_path / "snapshot" / "pipeline").mkdir(parents=True)
    done = invoke("resume", tmp_path)
    assert done.exit_code == 1
    assert "no unfinished training" in " ".join(done.output.split())
    done = train(folder, tmp_path)
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "snapshot").exists()


def test_a_weight_of_an_unknown_score_is_one_line(folder, tmp_path):
    done = train(folder, tmp_path / "out", "--training.score_weights.ents_ff", 1.0)
    assert done.exit_code == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("Error: training.score_weights = 'ents_ff'. Expected scores that this pipeline gives: ")
    assert " ents_token_f, " in line
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(folder, tmp_path):
    assert train(folder, tmp_path / "out", "--gpu-id", 0).exit_code != 0
    assert not (tmp_path / "out" / "model-last").exists()
