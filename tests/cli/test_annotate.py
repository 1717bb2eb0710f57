from __future__ import annotations

import json
import sys

import pytest
import spacy
from commands import run, run_python
from row_files import read_errors, read_objects, read_shards, write_rows
from typer.testing import CliRunner

from spacy_bertft.cli import app


@pytest.fixture(scope="module")
def ruler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotate") / "model"
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
    nlp.to_disk(folder)
    return str(folder)


def test_files_to_shards(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"body": f"film {number}"} for number in range(5)])
    write_rows(tmp_path / "b.csv", [{"body": "a film", "id": "1"}])
    inputs = [str(tmp_path / name) for name in ("a.jsonl", "b.csv")]
    options = ["--text-column", "body", "--prefix", "x_", "--shard-rows", "2", "--shard-mb", "1", "--max-chars", "6"]
    done = CliRunner().invoke(app, ["annotate", ruler, *inputs, str(tmp_path / "out"), *options, "--batch-size", "2"])
    assert done.exit_code == 0, done.output
    assert " ".join(done.stdout.split()) == "6 rows read, 6 written to 4 shards; 0 failed."
    rows = read_shards(tmp_path / "out")
    assert [row["body"] for row in rows] == [*(f"film {number}" for number in range(5)), "a film"]
    assert [[ent["label"] for ent in row["x_ents"]] for row in rows] == [["THING"]] * 6


def test_another_format(ruler, tmp_path):
    path = write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    done = CliRunner().invoke(app, ["annotate", ruler, str(path), str(tmp_path / "out"), "--format", "docbin"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["part-00000-000000.spacy", "run.json"]


def test_strict(ruler, tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a"}, {"text": None}])
    command = ["annotate", ruler, str(path), str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--strict"])
    assert done.exit_code == 1
    assert done.stderr == f"Error: {path}, line 2: the column 'text' holds null. Expected a string.\n"
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2 rows read, 1 written to 1 shard; 1 failed (see " in " ".join(done.stdout.split())
    assert [error["line"] for error in read_errors(tmp_path / "out")] == [2]


def test_an_error_is_one_line(ruler, tmp_path):
    path = write_rows(tmp_path / "a.txt", [{"text": "a"}])
    for name, options, problem in (
        ("none.txt", [], f"Error: {tmp_path}/none.txt: no such file or directory. Expected texts to annotate.\n"),
        ("a.txt", ["--device", "tpu"], "Error: device = 'tpu'. Expected cpu, cuda, or cuda:N for the GPU number N.\n"),
    ):
        command = ["annotate", ruler, str(tmp_path / name), str(tmp_path / "out"), *options]
        done = CliRunner().invoke(app, command)
        assert (done.exit_code, done.stderr) == (1, problem)
    assert path.exists()


def test_a_missing_extra_is_one_line(ruler, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = write_rows(tmp_path / "a.txt", [{"text": "a"}])
    done = CliRunner().invoke(app, ["annotate", ruler, str(path), str(tmp_path / "out"), "--format", "parquet"])
    assert done.exit_code == 1
    assert done.stderr == "Error: Parquet needs an extra. Install it with: pip install 'spacy-bertft[arrow]'\n"


TOLD = "2 rows read, 1 written to 1 shard; 1 failed (see out/errors.jsonl).\n"


@pytest.mark.process
def test_a_pipe_of_a_process_is_quiet(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a film"}, {"body": "a"}])
    assert run_python("-m", "spacy_bertft", "annotate", ruler, "a.jsonl", "out", cwd=tmp_path) == TOLD


def test_a_pipe_is_quiet_and_a_second_run_goes_on(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a film"}, {"body": "a"}])
    command = ["spacy_bertft", "annotate", ruler, "a.jsonl", "out"]
    assert run(*command, cwd=tmp_path) == TOLD
    assert run(*command, cwd=tmp_path) == TOLD
    read = (tmp_path / "a.jsonl").stat()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["inputs"] == [
        ["a.jsonl", read.st_size, str(read.st_mtime)]
    ]
    assert [row["file"] for row in read_objects(tmp_path / "out" / "errors.jsonl")] == ["a.jsonl"]
