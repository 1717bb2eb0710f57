from __future__ import annotations

import pytest

from spacy_bertft.data.columns.layout import ColumnLayout


def test_only_ascii_blanks_separate_columns() -> None:
    assert ColumnLayout(False, 2, 0, 1).split("a\u00a0b \t O ") == ["a\u00a0b", "O"]
    assert ColumnLayout(True, 2, 0, 1).split("New York \tO") == ["New York", "O"]
    assert ColumnLayout(True, 2, 0, 1).split("\tO") == ["", "O"]
    assert ColumnLayout(True, 2, 0, 1).split("a\tO\t\t") == ["a", "O"]
    assert ColumnLayout(True, 2, 0, 1).split("a\t") == ["a", ""]


@pytest.mark.parametrize(
    ("line", "is_comment"),
    [
        ("# id = 7", True),
        ("# title", True),
        ("# O", False),
        ("#hashtag O", False),
        ("#hashtag", False),
        ("# id\tO", False),
        ("# id 7\tdomain=en", True),
        ("# id 7 B-PER", True),
    ],
)
def test_comments_and_hashes(line: str, is_comment: bool) -> None:
    assert ColumnLayout(False, 2, 0, 1).is_comment(line) is is_comment


@pytest.mark.parametrize(
    ("line", "is_comment"),
    [
        ("# id 7\tdomain=en", True),
        ("# id 7\tdomain=en\tsplit=train", True),
        ("#\tsource of it\t2014", True),
        ("#\tO", False),
        ("# \tB-PER", False),
        ("# 1 fan\tB-PER", False),  # words may hold blanks between tabs
        # These are no tokens either, but errors: a word would be lost.
        ("#\tB_PER", False),
        ("#\tO\tO", False),
    ],
)
def test_comments_with_tabs(line: str, is_comment: bool) -> None:
    assert ColumnLayout(True, 2, 0, 1).is_comment(line) is is_comment


@pytest.mark.parametrize("line", ["# text = O", "#\thttp://a\t[2010]\t", "#newdoc", "# id 7\tdomain=en"])
def test_comments_where_rows_are_numbered(line: str) -> None:
    assert ColumnLayout(True, 4, 1, 2, number_column=0).is_comment(line)


@pytest.mark.parametrize(
    ("line", "is_comment"),
    [("# id 7\tdomain=en", True), ("#\tSYM", False), ("# 1 fan\tNN", False), ("#hashtag\tSYM", False)],
)
def test_comments_among_plain_tags(line: str, is_comment: bool) -> None:
    known = frozenset(["NN", "VB"])
    assert ColumnLayout(True, 2, 0, 1, kind="tags", known_tags=known).is_comment(line) is is_comment


@pytest.mark.parametrize(("line", "is_comment"), [("# title", True), ("# NN", False), ("# #", False)])
def test_comments_of_one_word_among_plain_tags(line: str, is_comment: bool) -> None:
    layout = ColumnLayout(False, 2, 0, 1, kind="tags", known_tags=frozenset(["NN"]))
    assert layout.is_comment(line) is is_comment


def test_plain_tags_leave_the_benefit_of_the_doubt_to_words() -> None:
    layout = ColumnLayout(False, 2, 0, 1, kind="tags")
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
    assert ColumnLayout(False, 2, 0, 1).is_document_start(line) is is_start
    assert ColumnLayout(False, 2, 1, 0).is_document_start("O -DOCSTART-")
