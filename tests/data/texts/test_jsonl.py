from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from spacy_bertft.data.rows import Tally as TextTally
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow, read_labelled_rows
from spacy_bertft.errors import ColumnFormatError


def read(path: Path, text: str, options: TextOptions | None = None) -> tuple[list[LabelledRow], TextTally]:
    path.write_text(text, encoding="utf-8", newline="")
    tally = TextTally()
    rows = read_labelled_rows(path, "jsonl", options or TextOptions(), tally)
    return [replace(row, record=row.record.line) for row in rows], tally


def test_one_object_a_line(tmp_path: Path) -> None:
    values = [{"text": "a\r\n\u2028\u0085 ", "label": "x"}, {"cats": {"y": 1}, "text": "\x00", "id": 7}]
    lines = [json.dumps(values[0], ensure_ascii=False), "", " ", json.dumps(values[1])]
    rows, tally = read(tmp_path / "a", "\ufeff" + "\r\n".join(lines))
    assert rows == [
        LabelledRow(1, "a\r\n\u2028\u0085 ", None, "x"),
        LabelledRow(4, "\x00", None, {"y": 1}),
    ]
    assert tally == TextTally(n_lines=4, left_out=Counter({"empty lines": 2}))


def test_named_fields(tmp_path: Path) -> None:
    options = TextOptions(text_column="premise", second_text_column="2", label_column="gold")
    text = '{"premise": "a", "2": "b", "gold": null, "label": 1}\n'
    assert read(tmp_path / "a", text, options)[0] == [LabelledRow(1, "a", "b", None)]


def test_a_long_text_is_no_trouble(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a", json.dumps({"text": "a" * 500_000, "label": "x"}))
    assert len(rows[0].text) == 500_000


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("text,label", "the line is not JSON: Expecting value at column 1"),
        ('{"text": "a"', "the line is not JSON: Expecting ',' delimiter at column 13"),
        ("[" * 100_000, "the line is not JSON: its brackets are nested too deeply"),
        ('{"text": "a", "label": ' + "1" * 5_000 + "}", "the line is not JSON: Exceeds the limit"),
        ('["a", "x"]', 'the line holds ["a", "x"]'),
        ("{}", "there is no column 'text' among none"),
        ('{"label": "x"}', "there is no column 'text' among 'label'"),
        ('{"text": "a"}', "there is no column 'label', 'cats' or 'labels' among 'text'"),
        ('{"text": null, "label": "x"}', "the column 'text' holds null"),
        ('{"text": ["a", "b"], "label": "x"}', 'the column \'text\' holds ["a", "b"]'),
        ('{"text": "\\ud83d", "label": "x"}', "it spells a lone surrogate, U+D83D"),
        ('{"text": "a", "label": ["\\uDE00"]}', "it spells a lone surrogate, U+DE00"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", f'{{"text": "\\ud83d\\ude00", "label": "x"}}\n\n{line}\n')
    assert (caught.value.path, caught.value.line) == (tmp_path / "a", 3)
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


def test_labels_stand_in_several_fields(tmp_path: Path) -> None:
    lines = [
        '{"labels": ["x"], "cats": {"y": 1}, "label": "z", "text": "a"}',
        '{"labels": ["x"], "cats": {"y": 1}, "text": "a"}',
        '{"labels": ["x"], "text": "a"}',
        '{"labels": [], "text": "a"}',
    ]
    rows, _ = read(tmp_path / "a", "\n".join(lines))
    assert [row.label for row in rows] == ["z", {"y": 1}, ["x"], []]


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ('{"cats": "a"}', {"text_column": "cats"}),
        ('{"cats": "a", "labels": "b"}', {"text_column": "labels", "second_text_column": "cats"}),
    ],
)
def test_a_text_is_not_taken_for_a_label(tmp_path: Path, line: str, columns: dict[str, str]) -> None:
    with pytest.raises(ColumnFormatError, match=r"there is no column 'label'.* among 'cats'"):
        read(tmp_path / "a", line, TextOptions(**columns))


def test_a_chosen_field_has_no_stand_in(tmp_path: Path) -> None:
    options = TextOptions(label_column="label")
    with pytest.raises(ColumnFormatError, match="no column 'label' among"):
        read(tmp_path / "a", '{"text": "a", "cats": {"x": 1}}', options)


CHOICE = '{"text": "a", "options": [{"id": "x", "text": "X"}, {"id": "y"}], "accept": ["y"]'


@pytest.mark.parametrize(
    ("line", "settings", "label", "answer", "offered"),
    [
        ('{"text": "a", "label": "x", "answer": "reject"}', {}, "x", "reject", None),
        ('{"text": "a", "answer": "ignore"}', {}, None, "ignore", None),
        ('{"text": "a", "label": "x", "answer": null}', {}, "x", "null", None),
        ('{"text": "a", "label": "x", "answer": "accept"}', {"label_column": "answer"}, "accept", None, None),
        (CHOICE + "}", {}, ["y"], None, ["x", "y"]),
        # What was selected goes before what a pipeline had predicted.
        (CHOICE + ', "cats": {"x": 0.9, "y": 0.1}, "answer": "accept"}', {}, ["y"], "accept", ["x", "y"]),
        (CHOICE + ', "gold": "x"}', {"label_column": "gold"}, "x", None, None),
        (CHOICE.replace('"accept": ["y"]', '"answer": "accept"}'), {}, [], "accept", ["x", "y"]),
        # Fields of other data.
        ('{"text": "a", "label": "x", "options": ["x"], "accept": ["x"]}', {}, "x", None, None),
    ],
)
def test_tasks_of_prodigy(
    tmp_path: Path, line: str, settings: dict[str, str], label: object, answer: object, offered: list[object] | None
) -> None:
    rows, _ = read(tmp_path / "a", line, TextOptions(**settings))
    assert rows == [LabelledRow(1, "a", None, label, answer, offered)]


def test_byte_order_marks_where_files_were_joined(tmp_path: Path) -> None:
    line = '\ufeff{"text": "\ufeffa", "label": "x"}\r'
    rows, tally = read(tmp_path / "a", line * 2)
    assert [row.text for row in rows] == ["\ufeffa"] * 2
    assert tally == TextTally(n_lines=2, n_byte_order_marks=1)
