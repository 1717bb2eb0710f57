from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data.records import Record
from spacy_bertft.data.texts.labels import list_present, read_cats
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow
from spacy_bertft.errors import ColumnFormatError

NAMES = ("joy", "fear", "love")
ONE = TextOptions()
MANY = TextOptions(label_separator=",")
NAMED = TextOptions(label_names=NAMES)
MANY_NAMED = TextOptions(label_separator=",", label_names=NAMES)


def read(label: object, options: TextOptions) -> dict[str, float]:
    return read_cats(LabelledRow(Record("a", 7, {}), "text", None, label), options)


@pytest.mark.parametrize(
    ("label", "options", "cats"),
    [
        ("ham", ONE, {"ham": 1}),
        ("a,b", ONE, {"a,b": 1}),
        (1, ONE, {"1": 1}),
        (0.5, ONE, {"0.5": 1}),
        (False, ONE, {"false": 1}),
        (["a", "b"], ONE, {"a": 1, "b": 1}),
        ([], ONE, {}),
        ({"a": 1, "b": 0, "c": 0.25, "d": True}, ONE, {"a": 1, "b": 0, "c": 0.25, "d": 1}),
        ("a, b ,c", MANY, {"a": 1, "b": 1, "c": 1}),
        ("", MANY, {}),
        (["a,b"], MANY, {"a,b": 1}),
        ("2", NAMED, {"love": 1}),
        (0, NAMED, {"joy": 1}),
        ([0, "1"], NAMED, {"joy": 1, "fear": 1}),
        ({"1": 0.5}, NAMED, {"fear": 0.5}),
        ("0,2", MANY_NAMED, {"joy": 1, "love": 1}),
    ],
)
def test_every_way_to_write_labels(label: object, options: TextOptions, cats: dict[str, float]) -> None:
    assert read(label, options) == cats
    assert all(isinstance(value, float) for value in read(label, options).values())


@pytest.mark.parametrize(
    ("label", "options", "problem"),
    [
        ("", ONE, "the label is empty"),
        ("a,,b", MANY, "the label is empty"),
        (["a", " "], ONE, "the label is empty"),
        (None, ONE, "the label is null"),
        ([["a"]], ONE, 'the label is ["a"]'),
        ({"a": 1.5}, ONE, "the value of the label 'a' is 1.5"),
        ({"a": "1"}, ONE, "the value of the label 'a' is \"1\""),
        ({"a": float("nan")}, ONE, "the value of the label 'a' is NaN"),
        ("joy", NAMED, "the label is 'joy'"),
        ("3", NAMED, "the label is '3'"),
        (-1, NAMED, "the label is '-1'"),
        (True, NAMED, "the label is 'true'"),
    ],
)
def test_what_is_no_label(label: object, options: TextOptions, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(label, options)
    assert (caught.value.path, caught.value.line, caught.value.problem) == (Path("a"), 7, problem)


def test_several_labels_where_one_is_expected_get_advice() -> None:
    for label, options in [("", ONE), ("0,2", NAMED)]:
        with pytest.raises(ColumnFormatError, match="pass --label-separator"):
            read(label, options)
    with pytest.raises(ColumnFormatError, match=r"Expected a number from 0 to 2, counting label names\."):
        read("3", MANY_NAMED)


def test_half_is_enough() -> None:
    assert list_present({"a": 0.5, "b": 0.49, "c": 1.0}) == ["a", "c"]
