"""SQuAD's JSON, 1.1 and 2.0, becomes questions with their answers; what is left out is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_bertft.data.answers import read_answer_texts
from spacy_bertft.data.pairs import SEGMENTS
from spacy_bertft.data.questions import convert_questions
from spacy_bertft.errors import DataError

CONTEXT = "It is 1,500m long.  The river Rhône flows\nthrough Lyon."


def find(text: str) -> dict[str, object]:
    return {"text": text, "answer_start": CONTEXT.index(text)}


def write(path: Path, *questions: dict, title: str = "Rhône", n_articles: int = 1) -> Path:
    entries = [{"id": str(number), "question": "Which one?", **each} for number, each in enumerate(questions)]
    article = {"title": title, "paragraphs": [{"context": CONTEXT, "qas": entries}]}
    path.write_text(json.dumps({"version": "1.1", "data": [article] * n_articles}), encoding="utf-8")
    return path


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_answers_keep_their_texts_and_characters(tmp_path):
    questions = [
        {"answers": [find("Lyon"), find("Lyon"), find("flow")]},
        {"answers": [find("The river Rhône flows\nthrough")], "is_impossible": False},
        {"answers": [], "is_impossible": True, "plausible_answers": [find("Lyon")]},
        {"answers": []},
        {},
    ]
    source = write(tmp_path / "squad.json", *questions)
    report = convert_questions(source, tmp_path / "squad.spacy")
    docs = read(tmp_path / "squad.spacy")
    found = [read_answer_texts(doc) for doc in docs]
    assert found == [["Lyon", "flow"], ["The river Rhône flows\nthrough"], [], [], None]
    assert [span.text for span in docs[0].spans["answers"]] == ["Lyon", "flows"]
    assert all(doc.text == f"Which one?\x1f{CONTEXT}" and len(doc.spans[SEGMENTS]) == 2 for doc in docs)
    assert report.label_counts == {"answers not known": 1, "with an answer": 2, "without an answer": 2}
    assert list(report.counts.values()) == [1]
    notes = report.format_notes()
    assert notes.startswith(
        "5 questions of 1 file read; answers extended to whole tokens, whose texts are kept for scores: 1 (the first: "
    )
    assert "left out: nothing; to check: the same text" in notes


def test_what_is_left_out_is_counted_with_its_place(tmp_path):
    moved = {**find("Lyon"), "answer_start": 3}
    questions = [{"answers": [moved, find("Lyon")]}, {"answers": [moved]}, {"answers": [], "question": " "}]
    report = convert_questions(write(tmp_path / "squad.json", *questions), tmp_path / "squad.spacy")
    assert [read_answer_texts(doc) for doc in read(tmp_path / "squad.spacy")] == [["Lyon"]]
    assert list(report.n_lines_left_out.values()) == [2, 1, 1]
    place = "squad.json, data[0].paragraphs[0].qas[0].answers[0]), questions of which no answer is left (1, the first: "
    assert "where answer_start says (2, the first: " in report.format_notes()
    assert place in report.format_notes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "squad.json cannot be read: .* Expected the JSON format of SQuAD"),
        ("[]", "squad.json: 'data' is missing"),
        ('{"data": [{"title": "a"}]}', r"squad.json, data\[0\]: 'paragraphs' is missing"),
        ('{"data": []}', "squad.json: no question"),
        ([{"answers": [{"text": "Lyon", "answer_start": True}]}], r"answers\[0\]: 'answer_start' is missing or of"),
        ([{"answers": [], "is_impossible": False}], "is_impossible is false, but the question has 0 answers"),
        ([{"answers": [find("Lyon")], "is_impossible": True}], "is_impossible is true, but the question has 1 answers"),
        ([{"answers": [], "question": "\ud800"}], "surrogates not allowed. Expected the JSON format"),
        ([{"answers": [find("Lyon")], "question": 1}], r"qas\[0\]: 'question' is missing"),
    ],
)
def test_what_is_no_such_file_is_an_error(content, message, tmp_path):
    path = tmp_path / "squad.json"
    if isinstance(content, str):
        path.write_text(content)
    else:
        write(path, *content)
    with pytest.raises(DataError, match=message):
        convert_questions(path, tmp_path / "squad.spacy")
    assert not (tmp_path / "squad.spacy").exists()


def test_articles_stay_together_when_a_corpus_is_split(tmp_path):
    source = write(tmp_path / "squad.json", *[{"answers": [find("Lyon")]}] * 3, n_articles=10)
    report = convert_questions(source, tmp_path / "squad.spacy", dev=0.2, test=0.1)
    assert [part.n_docs for part in report.parts] == [21, 6, 3]
    with pytest.raises(DataError, match="Cannot split the corpus into 2 parts"):
        convert_questions(write(tmp_path / "one.json", {"answers": []}), tmp_path / "one.spacy", dev=0.5)
