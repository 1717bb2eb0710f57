from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.corpus.columns.layout import ColumnLayout, detect_layout
from spacy_bertft.corpus.columns.options import ColumnOptions
from spacy_bertft.errors import ColumnFormatError, DataError


def detect(path: Path, text: str, options: ColumnOptions | None = None) -> ColumnLayout:
    path.write_text(text, encoding="utf-8")
    return detect_layout(path, options or ColumnOptions())


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("O\tshow\nB-GENRE\tdrama\n", ColumnLayout(True, 2, "first")),
        ("show\tO\ndrama\tB-GENRE\n", ColumnLayout(True, 2, "last")),
        ("show O\ndrama   B-GENRE\n", ColumnLayout(False, 2, "last")),
        ("EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", ColumnLayout(False, 4, "last")),
        # Both columns look like tags: they stand last.
        ("O\tO\n", ColumnLayout(True, 2, "last")),
        # The majority decides: the second line is malformed, and is reported as that when it is read.
        ("a\tO\nb\nc\tB-X\n", ColumnLayout(True, 2, "last")),
        ("# a comment of five words\na O\n", ColumnLayout(False, 2, "last")),
        ("# O\n", ColumnLayout(False, 2, "last")),
        ("-DOCSTART- -X- -X- O\n\na O\n", ColumnLayout(False, 2, "last")),
    ],
)
def test_layouts(tmp_path: Path, text: str, layout: ColumnLayout) -> None:
    assert detect(tmp_path / "a", text) == layout


def test_plain_tags_are_the_column_with_fewer_values(tmp_path: Path) -> None:
    options = ColumnOptions(kind="tags")
    assert detect(tmp_path / "a", "NN dog\nNN cat\nVB run\n", options).tag_column == "first"
    assert detect(tmp_path / "b", "dog NN\ncat NN\nrun VB\n", options).tag_column == "last"
    assert detect(tmp_path / "c", "dog NN\n", options).tag_column == "last"


@pytest.mark.parametrize(
    ("text", "options", "line", "problem"),
    [
        ("\none two three\n", ColumnOptions(), 2, "'three' is not an entity tag"),
        ("word\n\nword\n", ColumnOptions(), 1, "the line has one column, 'word'"),
        ("a\tO\nb\tO\n", ColumnOptions(tag_column="first"), 1, "'a' is not an entity tag"),
    ],
)
def test_files_without_tags(tmp_path: Path, text: str, options: ColumnOptions, line: int, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        detect(tmp_path / "a", text, options)
    assert (caught.value.line, caught.value.problem) == (line, problem)


@pytest.mark.parametrize("text", ["", "\n \n\t\n", "-DOCSTART-\n\n"])
def test_files_without_tokens(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="holds no token"):
        detect(tmp_path / "a", text)


def test_only_ascii_blanks_part_columns() -> None:
    assert ColumnLayout(False, 2, "last").split("a\u00a0b \t O ") == ["a\u00a0b", "O"]
    assert ColumnLayout(True, 2, "last").split("New York \tO") == ["New York", "O"]
    assert ColumnLayout(True, 2, "last").split("\tO") == ["", "O"]


@pytest.mark.parametrize(
    ("line", "is_comment"),
    [
        ("# id = 7", True),
        ("# title", True),
        ("# O", False),
        ("#hashtag O", False),
        ("#hashtag", False),
        ("# id\tO", False),
    ],
)
def test_comments_and_hashes(line: str, is_comment: bool) -> None:
    assert ColumnLayout(False, 2, "last").is_comment(line) is is_comment


def test_plain_tags_leave_the_benefit_of_the_doubt_to_words() -> None:
    layout = ColumnLayout(False, 2, "last", kind="tags")
    assert not layout.is_comment("# NN")
    assert layout.is_comment("# a longer comment")


@pytest.mark.parametrize(
    ("line", "is_start"),
    [
        ("-DOCSTART-", True),
        ("-DOCSTART- -X- -X- O", True),
        ("-DOCSTART- (7 report)", True),
        ("-DOCSTART-\tO", True),
        ("-DOCSTART-ing O", False),
        ("O -DOCSTART-", False),
    ],
)
def test_document_starts(line: str, is_start: bool) -> None:
    assert ColumnLayout(False, 2, "last").is_document_start(line) is is_start
    assert ColumnLayout(False, 2, "first").is_document_start("O -DOCSTART-")
