from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spacy_bertft.data.columns.gold import ColumnSentence, read_columns
from spacy_bertft.data.columns.layout import ColumnLayout
from spacy_bertft.data.rows import Tally as ColumnTally
from spacy_bertft.errors import ColumnFormatError

TABBED = ColumnLayout(True, 2, 0, 1)


def read(path: Path, text: str, layout: ColumnLayout = TABBED) -> tuple[list[ColumnSentence], ColumnTally]:
    path.write_text(text, encoding="utf-8")
    tally = ColumnTally()
    return list(read_columns(path, layout, tally)), tally


def test_sentences_documents_and_comments(tmp_path: Path) -> None:
    text = "# one\n#tag\tO\nb\tB-X\n\n\n-DOCSTART-\tO\n\n# two\n# three\nc\tO\n \t\nd\tO"
    sentences, tally = read(tmp_path / "a", text)
    assert sentences == [
        ColumnSentence(True, [2, 3], ["#tag", "b"], ["O", "B-X"]),
        ColumnSentence(True, [10], ["c"], ["O"]),
        ColumnSentence(False, [12], ["d"], ["O"]),
    ]
    assert tally == ColumnTally(n_lines=12, left_out=Counter({"comment lines": 3, "-DOCSTART- lines": 1}))


def test_a_document_start_ends_the_sentence_before_it(tmp_path: Path) -> None:
    sentences, _ = read(tmp_path / "a", "O a\nO -DOCSTART-\nO b\n", ColumnLayout(False, 2, 1, 0))
    assert [(sentence.words, sentence.is_doc_start) for sentence in sentences] == [(["a"], True), (["b"], True)]


def test_the_word_is_at_the_other_end(tmp_path: Path) -> None:
    last, _ = read(tmp_path / "a", "EU NNP B-NP B-ORG\n", ColumnLayout(False, 4, 0, 3))
    first, _ = read(tmp_path / "b", "B-ORG NNP EU\n", ColumnLayout(False, 3, 2, 0))
    assert (last[0].words, last[0].tags) == (first[0].words, first[0].tags) == (["EU"], ["B-ORG"])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a\tO\nb\n", 2, "'b' has 1 column"),
        ("a\tO\nb O\n", 2, "'b O' has 1 column"),
        ("a\tO\n\nb\tc\tO\n", 3, "'b\\tc\\tO' has 3 columns"),
        ("a\tO\n\tO\n", 2, "'\\tO' has no word"),
        ("a\t\n", 1, "'a\\t' has no tag"),
        # Comments stand between sentences only.
        ("a\tO\n# b\n", 2, "'# b' has 1 column"),
        ("#b\n", 1, "'#b' has 1 column"),
        ("# b\tO\tO\n", 1, "'# b\\tO\\tO' has 3 columns"),
    ],
)
def test_malformed_lines(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "a", line)
    assert caught.value.problem == problem
    assert caught.value.expected == "Expected 2 columns separated by tabs, words in column 1, tags in column 2 of 2."


NUMBERED = ColumnLayout(True, 3, 1, 2, number_column=0)


def test_rows_with_numbers(tmp_path: Path) -> None:
    text = "# a\tb\tc\n1-2\tdu\t_\n1\tde\tADP\n2\tle\tDET\n2.1\tx\tX\n3\t#\t_\n\n#\tc\n1\t1\tNUM\n"
    layout = ColumnLayout(True, 3, 1, 2, number_column=0, kind="tags")
    sentences, tally = read(tmp_path / "a", text, layout)
    assert sentences == [
        ColumnSentence(True, [3, 4, 6], ["de", "le", "#"], ["ADP", "DET", ""]),
        ColumnSentence(False, [9], ["1"], ["NUM"]),
    ]
    assert tally == ColumnTally(
        n_lines=9,
        left_out=Counter({"comment lines": 2, "ranges such as 2-3 and empty nodes such as 1.1": 2}),
        n_tags_missing=1,
    )


@pytest.mark.parametrize("text", ["1\ta\tO\n#\tb\tO\n", "1\ta\tO\nx\tb\tO\n"])
def test_rows_without_a_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(ColumnFormatError, match="has no number of its row") as caught:
        read(tmp_path / "a", text, NUMBERED)
    assert caught.value.line == 2


def test_header_lines(tmp_path: Path) -> None:
    layout = ColumnLayout(True, 2, 0, 1, header=("Wort", "Tag"))
    sentences, tally = read(tmp_path / "a", "Wort\tTag\na\tO\n\nWort\tTag\nb\tO\n", layout)
    assert [sentence.words for sentence in sentences] == [["a"], ["b"]]
    assert tally == ColumnTally(n_lines=5, left_out=Counter({"header lines": 2}))
