from __future__ import annotations

import json
from pathlib import Path

import pytest

from spacy_bertft.data import convert, convert_texts
from spacy_bertft.data.hygiene import find_edge, find_misspelled

SENTENCES = (
    "Ada B-PER\nsleeps O\n\n"
    "the O\n( B-ORG\nBank I-ORG\n\n"
    "Ada B-PER\nsleeps O\n\n"
    "Ada B-Per\nsleeps O\n\n"
    "ADA B-PER\nsleeps O\n. O\n"
)


def read_problems(path: Path) -> list[tuple[str, str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row.pop("problem"), row.pop("where"), " ".join(row.values())) for row in rows]


def test_problems_are_counted_and_listed(tmp_path: Path) -> None:
    source, problems = tmp_path / "a.bio", tmp_path / "problems.jsonl"
    source.write_text(SENTENCES)
    report = convert(source, tmp_path / "a.spacy", problems_path=problems)
    assert report.format_notes().endswith(
        f"left out: nothing; to check: an entity that begins or ends with punctuation: 1 (first: {source}, line 4), "
        f"the same text again: 1 (first: {source}, line 8), the same text with other labels: 1 (first: {source}, line "
        "11), a label that may be a misspelled one: 1 (first: Per); --problems FILE lists all."
    )
    assert read_problems(problems) == [
        ("an entity that begins or ends with punctuation", f"{source}, line 4", "( Bank ORG"),
        ("the same text again", f"{source}, line 8", f"{source}, line 1"),
        ("the same text with other labels", f"{source}, line 11", f"{source}, line 8"),
        ("a label that may be a misspelled one", "Per", "PER"),
    ]


def test_nearly_the_same_text_in_two_parts(tmp_path: Path) -> None:
    source, problems = tmp_path / "a.bio", tmp_path / "problems.jsonl"
    source.write_text("Ada B-PER\nsleeps O\n\nADA B-PER\nsleeps O\n. O\n")
    report = convert(source, tmp_path / "a.spacy", dev=0.5, problems_path=problems)
    assert "the same words in another part: 1" in report.problems
    [(problem, where, first)] = read_problems(problems)
    assert problem == "the same words in another part"
    assert {where, first} == {f"{source}, line 1", f"{source}, line 4"}


def test_categories(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("text,label\na b,x\na b,y\nc d,x\nc d,x\n")
    report = convert_texts(source, tmp_path / "a.spacy")
    assert report.problems == (
        f"to check: the same text with other labels: 1 (first: {source}, line 3), the same text again: 1 (first: "
        f"{source}, line 5); --problems FILE lists all"
    )


def test_nothing_to_check(tmp_path: Path) -> None:
    source, problems = tmp_path / "a.bio", tmp_path / "problems.jsonl"
    source.write_text("Ada B-PER\nsleeps O\n\n50 B-X\n% I-X\n")
    assert convert(source, tmp_path / "a.spacy", problems_path=problems).problems == ""
    assert problems.read_text() == ""


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["Ada", "Inc."], None),
        (["50", "%"], None),
        (["$", "5"], None),
        (["\u201c", "Ada"], "punctuation"),
        (["Ada", " \n"], "a blank"),
        (["Ada", "."], "punctuation"),
    ],
)
def test_edges_of_entities(words: list[str], problem: str | None) -> None:
    found = find_edge(words[0], words[-1])
    assert found is None if problem is None else found == f"an entity that begins or ends with {problem}"


def test_frequent_labels_and_short_ones_may_be_nearly_the_same() -> None:
    assert (
        list(find_misspelled({"DATE1": 5, "DATE2": 5, "NNP": 1000, "NNPS": 1, "LOCATION": 100, "LOCATIONS": 3})) == []
    )
    assert list(find_misspelled({"LOCATION": 100, "LOCATIONS": 2})) == [("LOCATIONS", "LOCATION")]
