from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data.columns.detection import detect_layout
from spacy_bertft.data.columns.layout import ColumnLayout, ColumnOptions
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError


def detect(path: Path, text: str, options: ColumnOptions | None = None) -> ColumnLayout:
    path.write_text(text, encoding="utf-8")
    return detect_layout(path, options or ColumnOptions())


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("O\tshow\nB-GENRE\tdrama\n", ColumnLayout(True, 2, 1, 0)),
        ("show\tO\ndrama\tB-GENRE\n", ColumnLayout(True, 2, 0, 1)),
        ("show O\ndrama   B-GENRE\n", ColumnLayout(False, 2, 0, 1)),
        ("EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", ColumnLayout(False, 4, 0, 3, other_tag_columns=(2,))),
        # Both columns look like tags: they stand last.
        ("O\tO\n", ColumnLayout(True, 2, 0, 1)),
        # A tab at the end of every line is no column.
        ("show\tO\t\ndrama\tB-GENRE\t\n", ColumnLayout(True, 2, 0, 1)),
        ("show\tO\t\ndrama\tB-GENRE\tx\n", ColumnLayout(True, 3, 0, 1)),
        # A column of row numbers holds no words.
        ("1\tAnna\tB-PER\n2\truns\tO\n\n1\tBob\tB-PER\n", ColumnLayout(True, 3, 1, 2, 0)),
        ("0 Anna B-PER\n1 runs O\n", ColumnLayout(False, 3, 1, 2, 0)),
        ("B-PER Anna 1\nO runs 2\n", ColumnLayout(False, 3, 1, 0, 2)),
        ("1 Anna B-PER x y\n2 runs O x y\n", ColumnLayout(False, 5, 1, 2, 0)),
        ("1 a O\n2 b O\n\n3 c O\n4 d O\n", ColumnLayout(False, 3, 1, 2, 0)),  # numbered throughout the file
        # Numbers among the words are words.
        ("2 x O\n1990s x B-YEAR\n\n1 x O\nfilm x O\n", ColumnLayout(False, 3, 0, 2)),
        ("1999\tO\n7\tO\n", ColumnLayout(True, 2, 0, 1)),
        # Chunks have labels of their own, nested entities those of the entities around them.
        ("Anna B-NP B-PER\nruns B-VP O\n", ColumnLayout(False, 3, 0, 2, other_tag_columns=(1,))),
        ("Bank B-ORG O\nof I-ORG O\nPeru I-ORG B-ORG\n", ColumnLayout(False, 3, 0, 1, other_tag_columns=(2,))),
        # The majority decides: the second line is malformed, and is reported as that when it is read.
        ("a\tO\nb\nc\tB-X\n", ColumnLayout(True, 2, 0, 1)),
        ("# a comment of five words\na O\n", ColumnLayout(False, 2, 0, 1)),
        ("# O\n", ColumnLayout(False, 2, 0, 1)),
        ("-DOCSTART- -X- -X- O\n\na O\n", ColumnLayout(False, 2, 0, 1)),
    ],
)
def test_layouts(tmp_path: Path, text: str, layout: ColumnLayout) -> None:
    assert detect(tmp_path / "a", text) == layout


def test_plain_tags_are_the_column_with_fewer_values(tmp_path: Path) -> None:
    options = ColumnOptions(kind="tags")
    assert detect(tmp_path / "a", "NN dog\nNN cat\nVB run\n", options).tag_column == 0
    assert detect(tmp_path / "b", "dog NN\ncat NN\nrun VB\n", options).tag_column == 1
    assert detect(tmp_path / "c", "dog NN\n", options).tag_column == 1
    layout = detect(tmp_path / "d", "1 dog NN\n2 cat NN\n\n1 run VB\n", options)
    assert (layout.word_column, layout.tag_column, layout.number_column) == (1, 2, 0)


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


GERMEVAL = "#\thttp://a.de/1.html\t[2010-07-04]\t\n1\tBank\tB-ORG\tO\n2\tof\tI-ORG\tO\n3\tPeru\tI-ORG\tB-LOC\n"
CONLLU = (
    "# newdoc\n# text = Vámonos\n"
    "1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_\n"
    "2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_\n"
    "2.1\tya\tya\tADV\tR\t_\t_\t_\t1:advmod\t_\n"
)
TAGS = ColumnOptions(kind="tags")


def find_columns(path: Path, text: str, options: ColumnOptions) -> tuple[int, int]:
    layout = detect(path, text, options)
    return layout.word_column, layout.tag_column


@pytest.mark.parametrize(
    ("text", "options", "columns"),
    [
        (GERMEVAL, ColumnOptions(), (1, 3)),
        (GERMEVAL, ColumnOptions(tag_column="3"), (1, 2)),
        (GERMEVAL.replace("B-LOC", "B-ORG"), ColumnOptions(), (1, 2)),
        (GERMEVAL, ColumnOptions(tag_column="4", word_column="1"), (0, 3)),
        ("1\tAnna\tO\n", ColumnOptions(tag_column="last"), (1, 2)),
        # CoNLL-U, its names, and those of CoNLL-U Plus.
        (CONLLU, TAGS, (1, 3)),
        (CONLLU, ColumnOptions(kind="tags", tag_column="XPOS"), (1, 4)),
        (CONLLU, ColumnOptions(kind="tags", tag_column="5", word_column="LEMMA"), (2, 4)),
        ("# global.columns = ID FORM UPOS X\n1\ta\tNN\tx\n2\tb\tNN\ty\n", TAGS, (1, 2)),
        ("# global.columns = ID NE FORM\n1\tB-PER\ta\n", ColumnOptions(), (2, 1)),
        # A header, known or asked for.
        ("id\tword\tpos\tner\n7\ta\tNN\tO\n9\tb\tNN\tB-X\n", ColumnOptions(), (1, 3)),
        ("id\tword\tpos\tner\n7\ta\tNN\tO\n9\tb\tNN\tB-X\n", TAGS, (1, 2)),
        ("Wort\tArt\na\tNN\nb\tNN\n", ColumnOptions(kind="tags", word_column="Wort"), (0, 1)),
        ("Art\tWort\nNN\ta\nVB\tb\n", ColumnOptions(kind="tags", tag_column="Art"), (1, 0)),
    ],
)
def test_columns_by_number_and_by_name(
    tmp_path: Path, text: str, options: ColumnOptions, columns: tuple[int, int]
) -> None:
    assert find_columns(tmp_path / "a", text, options) == columns


def test_columns_are_described_from_1(tmp_path: Path) -> None:
    conllu = detect(tmp_path / "a", CONLLU, TAGS)
    assert conllu.describe() == "words in column 2 (FORM), tags in column 4 (UPOS) of 10"
    germeval = detect(tmp_path / "b", GERMEVAL, ColumnOptions())
    assert germeval.describe() == (
        "words in column 2, tags in column 4 of 4 (--tag-column takes another one; also tags: column 3)"
    )


@pytest.mark.parametrize(
    ("text", "options", "line", "problem"),
    [
        ("1 O\n2 O\n\n1 B-X\n", ColumnOptions(), 1, "column 1 numbers the rows"),
        ("17 a O\n17 b O\n\n18 c O\n18 d O\n", ColumnOptions(), 1, "column 1 holds numbers only"),
        ("d1 a O\nd1 b O\n\nd2 c O\nd2 d O\n", ColumnOptions(), 1, "column 1 holds one value in each sentence"),
        ("1\t_\tNN\n2\t_\tNN\n", TAGS, 1, "column 2 holds '_' only"),
        (CONLLU.replace("PRON", "_").replace("VERB", "_").replace("ADV", "_"), TAGS, 4, "column 4 holds '_' only"),
        (CONLLU, ColumnOptions(), 4, "'_' is not an entity tag"),
        (
            "1 Anna\n2 runs\n",
            ColumnOptions(kind="tags", word_column="2"),
            1,
            "the line has 2 columns, and none for tags",
        ),
        ("a O\n", ColumnOptions(tag_column="3"), 1, "there is no column '3' among 'a', 'O'"),
        ("a O\n", ColumnOptions(word_column="word"), 1, "there is no column 'word' among 'a', 'O'"),
        ("word tag\na O\n", ColumnOptions(tag_column="ner"), 2, "there is no column 'ner' among 'word', 'tag'"),
        ("word tag\n", ColumnOptions(), 1, "the line names columns, and no token follows"),
        ("# global.columns = ID FORM\n1 a O\n", TAGS, 2, "the line has 3 columns, but 2 names are declared"),
    ],
)
def test_columns_that_cannot_be_found(
    tmp_path: Path, text: str, options: ColumnOptions, line: int, problem: str
) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        detect(tmp_path / "a", text, options)
    assert (caught.value.line, caught.value.problem) == (line, problem)
    assert caught.value.expected


def test_words_and_tags_in_one_column(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="another column than tag_column"):
        detect(tmp_path / "a", "a O\n", ColumnOptions(tag_column="last", word_column="2"))
