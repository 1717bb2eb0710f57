from __future__ import annotations

import json
from pathlib import Path

import pytest

from spacy_bertft.errors import ColumnFormatError, DataError
from spacy_bertft.evaluation.training_log import find_log, read_training_log

ROW = {"epoch": 0, "step": 0, "losses": {"ner": 4.0}, "scores": {"ents_f": 1.5}, "score": 0.015}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_log(tmp_path):
    later = {**ROW, "step": 20, "losses": {"ner": 2.0, "textcat": 1.0}, "score": 0.5}
    log = read_training_log(write(tmp_path / "log.jsonl", ROW, later, {**ROW, "step": 40, "score": 0.5}))
    assert log.steps.tolist() == [0, 20, 40]
    assert log.losses["ner"].tolist() == [4.0, 2.0, 4.0]
    assert log.losses["textcat"][1] == 1.0
    assert log.scores["ents_f"].tolist() == [1.5] * 3
    assert log.total.tolist() == [1.5, 50.0, 50.0]
    assert log.best == 2  # the last of equal ones, which spaCy stores as the best


def test_the_log_beside_a_pipeline(tmp_path):
    (tmp_path / "training" / "model-best").mkdir(parents=True)
    pipeline = tmp_path / "training" / "model-best"
    assert find_log(pipeline) is None
    path = write(tmp_path / "training" / "log.jsonl", ROW)
    assert find_log(pipeline) == path
    other = write(tmp_path / "other.jsonl", ROW)
    assert find_log(pipeline, other) == other
    assert find_log("en_installed") is None
    with pytest.raises(DataError, match=r"missing\.jsonl is no file\. Expected the output_file"):
        find_log(pipeline, tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "this is no JSON"),
        ("[1]", "this is no evaluation with numbers"),
        ({**ROW, "step": "a"}, "this is no evaluation with numbers"),
        ({**ROW, "score": None}, "this is no evaluation with numbers"),
        ({**ROW, "losses": {"ner": "a"}}, "this is no evaluation with numbers"),
        ({"step": 1, "score": 1}, "this is no evaluation with numbers"),
    ],
)
def test_lines_that_no_logger_writes(tmp_path, row, problem):
    with pytest.raises(ColumnFormatError) as caught:
        read_training_log(write(tmp_path / "log.jsonl", ROW, row))
    assert (caught.value.line, caught.value.problem) == (2, problem)


def test_an_empty_log(tmp_path):
    with pytest.raises(DataError, match="has no evaluation"):
        read_training_log(write(tmp_path / "log.jsonl"))
