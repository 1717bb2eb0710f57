from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.corpus.columns.layout import ColumnLayout
from spacy_bertft.corpus.columns.sentences import ColumnSentence, LineTally, read_columns
from spacy_bertft.errors import ColumnFormatError

TABBED = ColumnLayout(True, 2, "last")


def read(path: Path, text: str, layout: ColumnLayout = TABBED) -> tuple[list[ColumnSentence], LineTally]:
    path.write_text(text, encoding="utf-8")
    tally = LineTally()
    return list(read_columns(path, layout, tally)), tally


def test_sentences_documents_and_comments(tmp_path: Path) -> None:
    text = "# one\n#tag\tO\nb\tB-X\n\n\n-DOCSTART-\tO\n\n# two\n# three\nc\tO\n \t\nd\tO"
    sentences, tally = read(tmp_path / "a", text)
    assert sentences == [
        ColumnSentence(2, True, ["#tag", "b"], ["O", "B-X"]),
        ColumnSentence(10, True, ["c"], ["O"]),
        ColumnSentence(12, False, ["d"], ["O"]),
    ]
    assert tally == LineTally(n_lines=12, n_comments=3, n_document_starts=1)


def test_a_document_start_ends_the_sentence_before_it(tmp_path: Path) -> None:
    sentences, _ = read(tmp_path / "a", "O a\nO -DOCSTART-\nO b\n", ColumnLayout(False, 2, "first"))
    assert [(sentence.words, sentence.is_doc_start) for sentence in sentences] == [(["a"], True), (["b"], True)]


def test_the_word_is_at_the_other_end(tmp_path: Path) -> None:
    last, _ = read(tmp_path / "a", "EU NNP B-NP B-ORG\n", ColumnLayout(False, 4, "last"))
    first, _ = read(tmp_path / "b", "B-ORG NNP EU\n", ColumnLayout(False, 3, "first"))
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
    assert caught.value.expected == "Expected 2 columns parted by tabs, the tag last."
