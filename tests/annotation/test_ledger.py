"""A run goes on where it was stopped, and only the same one does."""

from __future__ import annotations

import json

import pytest
import spacy
from row_files import read_errors, read_shards, write_rows

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.annotation.ledger import Ledger
from spacy_bertft.annotation.storage import OutputDir
from spacy_bertft.annotation.worker import Annotator
from spacy_bertft.errors import DataError, SettingError

TEXTS = [f"film {number}" for number in range(20)]


@pytest.fixture
def inputs(tmp_path):
    rows = [{"text": text} for text in TEXTS]
    rows[3] = {"text": None}
    return [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", rows)]


def count_calls(monkeypatch, stop_after: int = 1000) -> list[str]:
    """Count what is annotated, and stop after some."""
    calls: list[str] = []
    call = Annotator.__call__

    def annotate_or_stop(self, chunk):
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(chunk.shard)
        return call(self, chunk)

    monkeypatch.setattr(Annotator, "__call__", annotate_or_stop)
    return calls


def read_all(output) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.mark.everyday(2)
@pytest.mark.parametrize("n_before", [0, 1, 4, 7])
def test_a_run_goes_on_without_doing_anything_again(ruler, inputs, tmp_path, n_before):
    whole = annotate(ruler, inputs, tmp_path / "whole", shard_rows=6)
    assert whole.n_shards_before == 0
    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        done = count_calls(patch, n_before)
        with pytest.raises(KeyboardInterrupt):
            annotate(ruler, inputs, output, shard_rows=6)
    assert not (output / "errors.jsonl").exists()
    assert json.loads((output / "run.json").read_text())["done"] is None
    # What a process that was killed leaves.
    (output / "_unfinished" / ".part-00000-000001.jsonl.0123").write_text("half")
    times = {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}
    with pytest.MonkeyPatch.context() as patch:
        calls = count_calls(patch)
        report = annotate(ruler, inputs, output, shard_rows=6)
    assert report.n_shards_before == n_before
    assert len(calls) == 8 - n_before
    assert not set(calls) & set(done)
    assert {name: (output / name).stat().st_mtime_ns for name in times} == times
    assert read_all(output) == read_all(tmp_path / "whole")
    assert (report.n_read, report.n_written, report.n_failed) == (40, 38, 2)
    assert (f"{n_before} shard{'s' * (n_before > 1)} written before" in str(report)) == (n_before > 0)


def test_a_run_that_was_killed_at_its_very_end(ruler, inputs, tmp_path):
    annotate(ruler, inputs, tmp_path / "whole", shard_rows=6)
    write = Ledger._write

    def stop_at_the_end(self, run):
        if run["done"]:
            raise KeyboardInterrupt
        write(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "_write", stop_at_the_end)
        with pytest.raises(KeyboardInterrupt):
            annotate(ruler, inputs, tmp_path / "out", shard_rows=6)
    report = annotate(ruler, inputs, tmp_path / "out", shard_rows=6)
    assert (report.n_shards_before, report.n_written) == (8, 38)
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")


def test_a_finished_run_returns_its_counts(ruler, inputs, tmp_path, monkeypatch):
    first = annotate(ruler, inputs, tmp_path / "out", shard_rows=6)
    before = read_all(tmp_path / "out")
    # Killed before it could remove its reports.
    (tmp_path / "out" / "_unfinished").mkdir()
    (tmp_path / "out" / "_unfinished" / "part-00000-000000.json").write_text("{}")
    calls = count_calls(monkeypatch)
    again = annotate(ruler, inputs, tmp_path / "out", shard_rows=6)
    assert not calls
    assert (again.n_read, again.n_written, again.n_failed, again.n_shards) == (40, 38, 2, 8)
    assert str(again) == str(first)
    assert read_all(tmp_path / "out") == before


@pytest.mark.everyday(6)
@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"shard_rows": 7}, "shard rows"),
        ({"shard_mb": 5}, "shard mb"),
        ({"max_chars": 70}, "max chars"),
        ({"prefix": "x_"}, "answers"),
        ({"output_format": "docbin"}, "output format"),
        ({"text_column": "body"}, "text column"),
        ("input", "inputs"),
        ("order", "inputs"),
        ("content", "inputs"),
        ("pipeline", "pipeline"),
        ("patterns", "pipeline"),
    ],
)
def test_another_run_is_refused(ruler, inputs, tmp_path, change, difference, is_finished):
    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        count_calls(patch, 1000 if is_finished else 2)
        if is_finished:
            annotate(ruler, inputs, output, shard_rows=6)
        else:
            with pytest.raises(KeyboardInterrupt):
                annotate(ruler, inputs, output, shard_rows=6)
    before = read_all(output) if is_finished else None
    options = {"shard_rows": 6}
    if isinstance(change, dict):
        options |= change
    elif change == "input":
        write_rows(inputs[1], [{"text": "another"}])
    elif change == "content":
        write_rows(
            inputs[1], [{"text": None if text is None else text.upper()} for text in (*TEXTS[:3], None, *TEXTS[4:])]
        )
    elif change == "order":
        inputs = inputs[::-1]
    else:
        nlp = spacy.load(ruler)
        if change == "pipeline":
            nlp.meta["version"] = "9.9.9"
        else:  # as another training, or a temperature, changes what is next to the meta data
            nlp.get_pipe("entity_ruler").add_patterns([{"label": "OTHER", "pattern": "b"}])
        nlp.to_disk(ruler := tmp_path / "model")
    with pytest.raises(SettingError) as caught:
        annotate(ruler, inputs, output, **options)
    problem = f"output = {str(output)!r}. Expected a new directory: this one holds a run with another {difference}."
    assert str(caught.value) == problem
    assert before is None or read_all(output) == before


def test_what_does_not_decide_the_output_may_change(ruler, inputs, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        count_calls(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            annotate(ruler, inputs, tmp_path / "out", shard_rows=6)
    report = annotate(ruler, inputs, tmp_path / "out", shard_rows=6, batch_size=3)
    assert (report.n_shards_before, report.n_written) == (2, 38)


def test_a_run_that_could_annotate_nothing_is_tried_again(ruler, tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"body": "a film"}, {"body": "b"}])
    for _ in range(2):
        with pytest.raises(DataError, match="2 rows read, none could be annotated"):
            annotate(ruler, [path], tmp_path / "out")
        assert len(read_errors(tmp_path / "out")) == 2
    annotate(ruler, [path], tmp_path / "out", text_column="body")
    assert [row["body"] for row in read_shards(tmp_path / "out")] == ["a film", "b"]
    assert sorted(read_all(tmp_path / "out")) == ["part-00000-000000.jsonl", "run.json"]


def test_a_folder_with_something_else(ruler, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("a")
    with pytest.raises(
        DataError, match=r"out is not empty, and holds no run that could be resumed\. Expected a new directory"
    ):
        annotate(ruler, inputs, tmp_path / "out")
    with pytest.raises(SettingError, match="Expected a directory; it is a file"):
        annotate(ruler, inputs, tmp_path / "out" / "mine.txt")
    assert (tmp_path / "out" / "mine.txt").read_text() == "a"


def test_an_empty_folder(ruler, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    assert annotate(ruler, inputs, tmp_path / "out").n_written == 38


def test_problems_in_the_order_of_the_input(ruler, tmp_path):
    paths = []
    for number in range(12):
        rows = [{"text": "film"}, {"text": number}, {"text": "film"}, {"text": number}]
        paths.append(write_rows(tmp_path / f"{number}.jsonl", rows))
    annotate(ruler, paths, tmp_path / "out", shard_rows=2)
    found = [(error["file"], error["line"]) for error in read_errors(tmp_path / "out")]
    assert found == [(str(path), line) for path in paths for line in (2, 4)]


def test_the_counts_of_many_reports(tmp_path, monkeypatch):
    from spacy_bertft.annotation import ledger
    from spacy_bertft.annotation.chunks import Problem
    from spacy_bertft.annotation.ledger import ShardReport

    monkeypatch.setattr(ledger, "_AT_ONCE", 4)
    output = OutputDir(str(tmp_path / "out"))
    reports = [
        ShardReport(f"part-00000-{number:06}", "näme", number, 1, 10, (Problem(number, "r\u2028"), Problem(None, "s")))
        for number in range(9)
    ]
    for report in reversed(reports):
        report.write(output)
    (tmp_path / "out" / "run.json").write_text('{"done": null}')
    book = Ledger(output)
    assert list(book.read_reports()) == reports
    assert book.finish() == {"read": 36 + 18, "written": 36, "failed": 18, "empty_lines": 9, "shards": 8}
    assert [error["line"] for error in read_errors(tmp_path / "out")] == [
        line for number in range(9) for line in (number, None)
    ]
