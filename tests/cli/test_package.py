from __future__ import annotations

import pytest
import spacy
from small_checkpoints import make_checkpoint
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.exchange.import_hf import import_hf

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of spaCy's own `package`


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    names = {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}}
    import_hf(str(make_checkpoint(folder / "hf", "bert", 3, **names)), folder / "pipeline")
    return str(folder / "pipeline")


def test_a_package_is_written(pipeline, tmp_path):
    arguments = ["package", pipeline, str(tmp_path), "--precision", "bf16", "-n", "people", "-v", "0.1.0", "-b", "none"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "MB in bf16, before" in " ".join(done.output.split())
    assert spacy.load(tmp_path / "en_people-0.1.0" / "en_people" / "en_people-0.1.0").pipe_names


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--name", "a-b"], "Error: name = 'a-b'. Expected what can be imported, such as movie_ner."),
        (["--build", "sdist,egg"], "Error: build = 'egg'. Expected one of sdist, wheel, none."),
    ],
)
def test_errors_are_one_line(arguments, problem, pipeline, tmp_path):
    done = CliRunner().invoke(app, ["package", pipeline, str(tmp_path / "out"), *arguments])
    assert done.exit_code == 1
    assert done.output.splitlines() == [problem]
    assert not (tmp_path / "out").exists()
