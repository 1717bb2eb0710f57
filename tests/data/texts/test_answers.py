from __future__ import annotations

import pytest

from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import Tally as TextTally
from spacy_bertft.data.texts.labels import AnswerReader
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow
from spacy_bertft.errors import ColumnFormatError

AB = ["a", "b"]


def make_row(label: object, answer: object = None, options: list[object] | None = None, line: int = 7) -> LabelledRow:
    return LabelledRow(Record("a", line, {}), "text", None, label, answer, options)


@pytest.mark.parametrize(
    ("row", "cats", "is_complete"),
    [
        (make_row("a"), {"a": 1}, True),
        # The question of one label, as the classification interface asks it.
        (make_row("a", "accept"), {"a": 1}, False),
        (make_row("a", "reject"), {"a": 0}, False),
        (make_row(["a", "b"], "accept"), {"a": 1, "b": 1}, True),
        (make_row({"a": 0.9, "b": 0.1}, "accept"), {"a": 0.9, "b": 0.1}, True),
        (make_row({"a": 0.9, "b": 0.1}, "reject"), {"a": 0}, False),
        # The choice interface: what was offered is known.
        (make_row(["a"], "accept", AB), {"a": 1, "b": 0}, False),
        (make_row(["a", "b"], "accept", AB), {"a": 1, "b": 1}, False),
        (make_row([], "accept", AB), {"a": 0, "b": 0}, False),
        (make_row(["a"], "reject", AB), {"a": 0}, False),
        (make_row(["a"], None, AB), {"a": 1, "b": 0}, False),
        (make_row([1], "accept", [1, 2]), {"1": 1, "2": 0}, False),
        # Another field of this name.
        (make_row("a", "Paris"), {"a": 1}, True),
        (make_row("a", 42), {"a": 1}, True),
    ],
)
def test_what_is_known_of_the_labels(row: LabelledRow, cats: dict[str, float], is_complete: bool) -> None:
    assert AnswerReader(TextOptions(), TextTally()).read(row) == (cats, is_complete)


def test_several_labels_in_a_string_are_a_whole_annotation() -> None:
    reader = AnswerReader(TextOptions(label_separator=","), TextTally())
    assert reader.read(make_row("a,b", "accept")) == ({"a": 1, "b": 1}, True)


@pytest.mark.parametrize("row", [make_row("a", "ignore"), make_row(None, "ignore"), make_row([], "reject", AB)])
def test_rows_to_leave_out(row: LabelledRow) -> None:
    assert AnswerReader(TextOptions(), TextTally()).read(row) is None


@pytest.mark.parametrize("setting", ["label_columns", "number_columns", "choice_columns"])
def test_values_of_a_rejected_row_are_not_learned(setting: str) -> None:
    tally = TextTally()
    assert AnswerReader(TextOptions(**{setting: "a,b"}), tally).read(make_row("a", "reject")) is None
    assert tally.left_out == {"rejected rows": 1}


def test_answers_are_counted() -> None:
    tally = TextTally()
    reader = AnswerReader(TextOptions(), tally)
    for answer in ("accept", "accept", "reject", "ignore", None):
        reader.read(make_row("a", answer))
    reader.read(make_row([], "reject", AB))
    reader.read(make_row(["a"], None, AB))
    assert list(tally.answers.values()) == [2, 1, 1]
    assert tally.left_out == {"rows answered with ignore": 1, "rejected rows without a label": 1}


@pytest.mark.parametrize("answers", [["accept", "Reject"], ["null", "reject"], ["ignore", 3]])
def test_some_answers_of_prodigy_and_some_others(answers: list[object]) -> None:
    reader = AnswerReader(TextOptions(), TextTally())
    reader.read(make_row("a", answers[0], line=1))
    with pytest.raises(ColumnFormatError, match=r"the answer is .*Expected accept, reject or ignore everywhere"):
        reader.read(make_row("a", answers[1], line=2))


def test_a_choice_that_was_not_offered() -> None:
    with pytest.raises(ColumnFormatError, match="the choice 'c' is not among the options"):
        AnswerReader(TextOptions(), TextTally()).read(make_row(["c"], "accept", AB))
