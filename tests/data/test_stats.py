from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spacy_bertft.data import convert, convert_texts, measure_corpus
from spacy_bertft.data.stats import summarize_lengths
from spacy_bertft.errors import DataError, SettingError

FILMS = "films\tO\nwith\tO\ndrew\tB-ACTOR\nbarrymore\tI-ACTOR\n\n1980s\tB-YEAR\n\n1990s\tB-YEAR\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.bio"
    path.write_text(FILMS)
    return path


def count_letters(texts: list[str]) -> list[int]:
    return [len(text.replace(" ", "")) for text in texts]


def test_words_pieces_and_labels(source: Path) -> None:
    stats = measure_corpus(source, count_letters, window=8)
    assert stats.word_lengths.tolist() == [4, 1, 1]
    assert stats.piece_lengths is not None
    assert stats.piece_lengths.tolist() == [22, 5, 5]
    assert dict(stats.label_counts) == {"YEAR": 2, "ACTOR": 1}
    # 5 pieces and 2 special ones fit into 8.
    assert (stats.n_texts, stats.n_windowed, stats.windowed_share) == (3, 1, 1 / 3)


@pytest.mark.parametrize(("window", "n_windowed"), [(7, 1), (6, 3), (24, 0), (23, 1)])
def test_a_window_holds_two_special_pieces(source: Path, window: int, n_windowed: int) -> None:
    assert measure_corpus(source, count_letters, window).n_windowed == n_windowed


def test_both_kinds_of_files_measure_the_same(source: Path, tmp_path: Path) -> None:
    binary = tmp_path / "a.spacy"
    convert(source, binary)
    one, both = measure_corpus(binary), measure_corpus([source, str(binary)])
    assert one.word_lengths.tolist() == [4, 1, 1]
    assert both.word_lengths.tolist() == [4, 1, 1] * 2
    assert dict(both.label_counts) == {"YEAR": 4, "ACTOR": 2}
    assert one.piece_lengths is one.n_windowed is one.windowed_share is None


def test_illegal_tags_are_read_and_counted(tmp_path: Path) -> None:
    source = tmp_path / "a.bio"
    source.write_text("a\tO\nb\tI-X\n\nc\tB-X\n")
    stats = measure_corpus(source)
    assert (dict(stats.label_counts), stats.n_tags_repaired) == ({"X": 2}, 1)
    assert "illegal tags, read as conlleval does: 1" in stats.format_notes()


def test_plain_tags(tmp_path: Path) -> None:
    source = tmp_path / "a.pos"
    source.write_text("dogs NNS\nrun VBP\ncats NNS\n")
    convert(source, tmp_path / "a.spacy", kind="tags")
    for path in (source, tmp_path / "a.spacy"):
        assert dict(measure_corpus(path, kind="tags").label_counts) == {"NNS": 2, "VBP": 1}


def test_labels_of_texts(tmp_path: Path) -> None:
    source, binary = tmp_path / "a.jsonl", tmp_path / "a.spacy"
    source.write_text('{"text": "a b", "cats": {"x": 0.5, "y": 0.4}}\n{"text": "c", "label": ["x", "z"]}\n')
    convert_texts(source, binary)
    assert dict(measure_corpus(binary, kind="cats").label_counts) == {"x": 2, "z": 1}
    assert measure_corpus(binary).label_counts == {}
    with pytest.raises(DataError, match="Convert it first"):
        measure_corpus(source, kind="cats")


def test_summaries_are_lengths_of_texts() -> None:
    summary = summarize_lengths(np.array([1, 2, 3, 10]))
    assert summary == (16, 4.0, 2, 10, 10, 10)


def test_rows_have_equal_lengths(source: Path) -> None:
    stats = measure_corpus(source, count_letters)
    assert {len(row) for row in stats.format_rows()} == {3}
    assert stats.format_label_rows()[1] == ("YEAR", "2", "66.7%")
    assert stats.format_notes() == (
        "3 texts; 0 (0.00%) longer than a window of 512 subword tokens; words in column 1, tags in column 2 of 2."
    )


def test_what_cannot_be_measured(tmp_path: Path, source: Path) -> None:
    broken = tmp_path / "broken.spacy"
    broken.write_bytes(b"no DocBin")
    for path, problem in [(broken, "not a .spacy file"), (tmp_path / "missing.spacy", "no such file")]:
        with pytest.raises(DataError, match=problem):
            measure_corpus(path)
    with pytest.raises(DataError, match="no text"):
        measure_corpus([])
    for name, settings in {"window": {"window": 2}, "kind": {"kind": "words"}}.items():
        with pytest.raises(SettingError) as caught:
            measure_corpus(source, **settings)
        assert caught.value.name == name


def test_columns_of_column_files(tmp_path: Path) -> None:
    source, other = tmp_path / "a.tsv", tmp_path / "b.bio"
    source.write_text("# id 7\tdomain=en\n1\tAnna\tB-PER\tO\n2\truns\tO\tB-X\n\n1\tBob\tB-PER\tO\n")
    other.write_text("O\tAnna\n")
    stats = measure_corpus(source, tag_column=3)
    assert (stats.word_lengths.tolist(), dict(stats.label_counts)) == ([2, 1], {"PER": 2})
    assert stats.format_notes().endswith("words in column 2, tags in column 3 of 4; left out: comment lines (1).")
    assert dict(measure_corpus(source, tag_column=4, word_column=2).label_counts) == {"X": 1}
    assert f"{other}: words in column 2, tags in column 1 of 2" in measure_corpus([source, other]).format_notes()
