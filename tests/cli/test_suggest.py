from __future__ import annotations

import json

import pytest
from small_checkpoints import TEXTS, make_checkpoint
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.exchange.import_hf import import_hf


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggest")
    names = {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}}
    import_hf(str(make_checkpoint(folder / "hf", "bert", 3, **names)), folder / "pipeline")
    return str(folder / "pipeline")


def test_texts_on_standard_output_and_notes_beside_it(pipeline, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    done = CliRunner().invoke(app, ["suggest", pipeline, str(tmp_path / "a.txt"), "--n-texts", "3"])
    assert done.exit_code == 0, done.output
    tasks = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({task["text"] for task in tasks}) == 3
    assert "5 lines read; left out: nothing; 3 of 5 texts suggested." in " ".join(done.stderr.split())


def test_a_file_for_another_tool(pipeline, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": TEXTS[0], "id": 1}), encoding="utf-8")
    arguments = ["--text-column", "body", "--format", "doccano", "--diversity", "0", "-o", str(tmp_path / "b.jsonl")]
    done = CliRunner().invoke(app, ["suggest", pipeline, str(tmp_path / "a.jsonl"), *arguments])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    example = json.loads((tmp_path / "b.jsonl").read_text(encoding="utf-8"))
    assert (example["text"], example["meta"]) == (TEXTS[0], {"id": 1})
    assert isinstance(example["label"], list)


def test_an_error_is_one_line(pipeline, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"body": "b"}\n', encoding="utf-8")
    done = CliRunner().invoke(app, ["suggest", pipeline, str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "b.jsonl")])
    assert done.exit_code == 1
    problem = f"Error: {tmp_path / 'a.jsonl'}, line 2: there is no column 'text' among 'body'."
    assert problem in done.stderr
    assert not (tmp_path / "b.jsonl").exists()
