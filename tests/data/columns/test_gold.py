from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from column_files import Sentence, Style, sentences, styles
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.data.columns.gold import GoldReader, GoldSentence
from spacy_bertft.data.columns.layout import ColumnOptions
from spacy_bertft.data.rows import Tally as ColumnTally
from spacy_bertft.errors import ColumnFormatError, DataError
from spacy_bertft.tags.grammar import SCHEMES, Scheme
from spacy_bertft.tags.schemes import TagSpan


@given(st.lists(sentences(), min_size=1, max_size=4), styles, st.sampled_from(SCHEMES))
def test_every_style_reads_back_the_same(written: list[Sentence], style: Style, scheme: Scheme) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.bio")
        style.write(path, written, scheme)
        read = list(GoldReader([path], ColumnOptions(scheme=scheme)).read())
    assert [Sentence(sentence.words, sentence.spans) for sentence in read] == written


def read(path: Path, text: str, options: ColumnOptions | None = None) -> tuple[list[GoldSentence], ColumnTally]:
    path.write_text(text, encoding="utf-8")
    tally = ColumnTally()
    return list(GoldReader([path], options or ColumnOptions()).read(tally)), tally


REPAIR = "pass --orphans repair to"
OTHER = "(scheme bio; --scheme takes another)"


@pytest.mark.parametrize(
    ("text", "line", "problem", "expected"),
    [
        ("a\tO\nb\tI-X\n\nc\tB-X\n", 2, "'I-X' follows 'O'", f"B-X; {REPAIR} read it as B-X"),
        ("c\tB-X\n\n# z\na\tI-X\n", 4, "'I-X' opens the sentence", f"B-X; {REPAIR} read it as B-X"),
        ("a\tB-X\nb\tO\nc\tU-X\n", 2, "'O' follows 'B-X'", f"I-X or L-X; {REPAIR} end the span before it"),
        (
            "a\tO\nb\tX-Y\n",
            2,
            "'X-Y' has a prefix that the scheme bio does not know",
            f"one of O, B-Y, I-Y {OTHER}",
        ),
        ("a\tO\nb\tB-\n", 2, "'B-' is not a tag", f"O, or a prefix and a label such as B-PER {OTHER}"),
    ],
)
def test_wrong_tags_are_named_with_file_and_line(
    tmp_path: Path, text: str, line: int, problem: str, expected: str
) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "a", line)
    assert (caught.value.problem, caught.value.expected) == (f"tag {problem}", f"Expected {expected}.")


def test_orphans_are_repaired_when_asked_for(tmp_path: Path) -> None:
    options = ColumnOptions(orphans="repair")
    gold, tally = read(tmp_path / "a", "a\tB-X\nb\tI-Y\nc\tI-Y\n\nd\tO\ne\tI-X\n", options)
    assert [sentence.spans for sentence in gold] == [[TagSpan(0, 1, "X"), TagSpan(1, 3, "Y")], [TagSpan(1, 2, "X")]]
    assert tally.n_tags_repaired == 2


def test_repair_does_not_guess_at_unknown_prefixes(tmp_path: Path) -> None:
    with pytest.raises(ColumnFormatError) as caught:
        read(tmp_path / "a", "a\tO\nb\tX-Y\n", ColumnOptions(orphans="repair"))
    assert caught.value.line == 2


def test_the_scheme_is_guessed_from_all_files_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("a\tB-X\nb\tL-X\n")
    second.write_text("a\tB-X\nb\tI-X\nc\tL-X\n")
    assert GoldReader([first, second], ColumnOptions()).scheme == "biluo"
    assert GoldReader([first, second], ColumnOptions(scheme="bio")).scheme == "bio"


def test_documents_are_counted_over_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a O\n\nb O\n\n-DOCSTART- O\n\nc O\n")
    gold = GoldReader([path, path], ColumnOptions()).read()
    assert [sentence.document for sentence in gold] == [0, 0, 1, 2, 2, 3]


def test_plain_tags(tmp_path: Path) -> None:
    gold, _ = read(tmp_path / "a", "dog\tNN\nruns\tVBZ\n", ColumnOptions(kind="tags"))
    assert gold == [GoldSentence(["dog", "runs"], [], ["NN", "VBZ"], 0)]


def test_no_files() -> None:
    with pytest.raises(DataError, match="No input file"):
        GoldReader([], ColumnOptions())
