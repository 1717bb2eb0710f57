"""CSV, TSV and JSONL of prompts and endings, as of SWAG, become choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from commands import run
from spacy.tokens import Doc, DocBin

from spacy_bertft.data import convert_texts
from spacy_bertft.errors import ColumnFormatError, SettingError

SWAG = """,video-id,sent1,sent2,ending0,ending1,ending2,ending3,label
0,a1,She opens the door.,A dog,comes in.,is a car.,reads it.,sings.,0
1,a2,He waits.,The bus,sleeps.,arrives.,,,1
2,a3,"It rains, again.",,Sun.,Umbrellas open.,Snow.,,-1
"""
OPTIONS = {"text_column": "sent1", "second_text_column": "sent2"}
ENDINGS = "ending0,ending1,ending2,ending3"


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_swag_is_read_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "swag.csv").write_text(SWAG)
    options = ["--as", "choices", "--text-column", "sent1", "--second-text-column", "sent2"]
    printed = run(
        *("spacy_bertft", "convert", "swag.csv", "swag.spacy", *options, "--choice-columns", ENDINGS), cwd=tmp_path
    )
    assert printed.split()[-19:-11] == ["labels", "2", "0", "1", "1", "1", "2", "0"]
    docs = read(tmp_path / "swag.spacy")
    assert [doc.text.split("\x1f") for doc in docs] == [
        ["She opens the door.", "A dog comes in.", "A dog is a car.", "A dog reads it.", "A dog sings."],
        ["He waits.", "The bus sleeps.", "The bus arrives."],
        ["It rains, again.", "Sun.", "Umbrellas open.", "Snow."],
    ]
    assert [doc.cats for doc in docs] == [{"0": 1.0, "1": 0.0, "2": 0.0, "3": 0.0}, {"0": 0.0, "1": 1.0}, {}]
    for kind, options in (("choices", []), ("cats", ["--choice-columns", "a,b"])):
        failed = run("spacy_bertft", "convert", "swag.csv", "b.spacy", "--as", kind, *options, cwd=tmp_path, code=1)
        assert "choice_columns" in failed


def test_a_field_of_jsonl_lists_the_endings(tmp_path: Path) -> None:
    rows = [
        {"text": "Two and two", "endings": ["are five", "are four"], "label": 2},
        {"text": "The sky", "endings": ["is red", "is blue", "falls"], "label": "2", "answer": "accept"},
        {"text": "Grass", "endings": ["is green", "is red"], "label": None, "answer": "ignore"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = convert_texts(tmp_path / "a.jsonl", tmp_path / "a.spacy", choice_columns=["endings"], first_label=1)
    assert [doc.cats for doc in read(tmp_path / "a.spacy")] == [{"0": 0, "1": 1}, {"0": 0, "1": 1, "2": 0}]
    assert report.n_lines_left_out == {"rows answered with ignore": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p,a,b,2", r"a.csv, line 2: the label is '2'. Expected the number of one of 2 endings, from 0 on"),
        ("p,a,b,one", "the label is 'one'"),
        ("p,,b,1", "the row is not a choice"),
        ("p,a,,0", "the row is not a choice"),
        ("p,,,0", "Expected the number of one of 0 endings"),
        ("p,a,b,0", "line 3: the row is not a choice"),
        ("p,a\x1fc,b,0", "the row is not a choice"),
    ],
)
def test_a_row_that_is_no_choice_is_an_error(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"text,x,y,label\n{row}\np,,,\np,a,b,0\n")
    with pytest.raises(ColumnFormatError, match=message):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", choice_columns="x,y")
    assert not (tmp_path / "a.spacy").exists()


def test_settings_that_contradict_each_other_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,x,y,label\np,a,b,0\n")
    for name, value in (("label_separator", ","), ("label_names", "a.txt"), ("number_columns", "x")):
        with pytest.raises(SettingError, match=f"choice_columns|{name}"):
            convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", choice_columns="x,y", **{name: value})
    with pytest.raises(SettingError, match="another column than"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", choice_columns="x,text")
    (tmp_path / "a.jsonl").write_text('{"text": "p", "x": [1, 2], "label": 0}')
    with pytest.raises(ColumnFormatError, match="the endings are"):
        convert_texts(tmp_path / "a.jsonl", tmp_path / "a.spacy", choice_columns="x")
