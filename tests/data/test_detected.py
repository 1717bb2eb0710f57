"""`convert` finds the format of files, and takes the options of that alone."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from spacy_bertft import convert, convert_columns, convert_questions, convert_spans, convert_texts
from spacy_bertft.errors import DataError, SettingError


@pytest.mark.parametrize(
    ("content", "settings", "file_format", "kind", "labels"),
    [
        ("Ada B-PER\nran O\n", {}, "columns", "ents", {"PER": 1}),
        ("Ada B-PER\nran O\n", {"kind": "tags"}, "columns", "tags", {"B-PER": 1, "O": 1}),
        ("text,label\na,ham\n", {}, "csv", "cats", {"ham": 1}),
        ("text;label\na;1\n", {"label_names": ["ham", "spam"], "first_label": 1}, "csv", "cats", {"ham": 1, "spam": 0}),
        ("text,n\na,5\n", {"number_columns": {"n": "size"}}, "csv", "numbers", {"size": 1}),
        ("text,x,y,label\na,b,c,0\n", {"choice_columns": ["x", "y"]}, "csv", "choices", {"0": 1, "1": 0}),
        ('{"text": "Ada ran", "spans": [[0, 3, "PER"]]}\n', {}, "spans", "ents", {"PER": 1}),
        (
            '{"text": "a", "label": []}\n{"text": "Ada ran", "label": [[0, 3, "PER"]]}',
            {},
            "spans",
            "ents",
            {"PER": 1},
        ),
        (f'{{"text": "Ada", "x": "{" " * 2**20}", "spans": [[0, 3, "PER"]]}}\n', {}, "spans", "ents", {"PER": 1}),
        ('{"text": "Ada", "spans": {"sc": [{"start": 0, "end": 3, "label": "X"}]}}\n', {}, "spans", "ents", {"X": 1}),
        (
            '{"text": "a", "answer": "accept"}\n{"text": "Ada", "spans": [[0, 3, "X"]], "answer": "accept"}\n',
            {},
            "spans",
            "ents",
            {"X": 1},
        ),
        ('{"tokens": ["Ada"], "ner_tags": [1]}\n', {"label_names": ["O", "B-PER"]}, "lists", "ents", {"PER": 1}),
        ("__label__ham yes\n", {"kind": "cats", "dev_path": None}, "fasttext", "cats", {"ham": 1}),
    ],
)
def test_the_format_is_found(
    tmp_path: Path, content: str, settings: dict[str, object], file_format: str, kind: str, labels: dict[str, int]
) -> None:
    (tmp_path / "data").write_text(content)
    report = convert(iter([tmp_path / "data"]), tmp_path / "a.spacy", **settings)
    assert (report.file_format, report.kind, report.label_counts) == (file_format, kind, labels)


def test_answers_to_something_else_are_no_texts_without_entities(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "accept": ["x"], "options": [], "answer": "accept"}\n')
    with pytest.raises(DataError, match="there is no column 'spans'"):
        convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy")
    assert not (tmp_path / "a.spacy").exists()


def test_squad(tmp_path: Path) -> None:
    report = convert(Path(__file__).with_name("squad.json"), tmp_path / "a.spacy")
    assert (report.file_format, report.kind) == ("squad", "qa")


def test_what_is_not_of_the_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("text,label\na,ham\n")
    with pytest.raises(SettingError, match=r"n_sents = 1\. Expected no such option with --as cats"):
        convert(tmp_path / "data", tmp_path / "a.spacy", n_sents=1)
    with pytest.raises(TypeError, match="n_sent"):
        convert(tmp_path / "data", tmp_path / "a.spacy", n_sent=1)
    (tmp_path / "data").write_text("nothing")
    with pytest.raises(DataError, match="no labelled data of a known format"):
        convert(tmp_path / "data", tmp_path / "a.spacy")
    assert not (tmp_path / "a.spacy").exists()


def test_convert_has_every_setting_of_the_others() -> None:
    every = inspect.signature(convert).parameters
    assert list(every)[:2] == ["input_paths", "output_path"]
    for function in (convert_columns, convert_texts, convert_spans, convert_questions):
        own = inspect.signature(function).parameters
        assert own.keys() <= every.keys()
        assert [name for name in own if own[name].default != every[name].default] in ([], ["kind"])
