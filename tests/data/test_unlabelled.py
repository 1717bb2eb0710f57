from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from row_files import compress

from spacy_bertft.data.rows import Tally
from spacy_bertft.data.unlabelled import UnlabelledText, check_unlabelled, read_unlabelled
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError


def write(path: Path, *values: object) -> Path:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    return path


def test_the_other_fields_are_kept(tmp_path):
    path = write(tmp_path / "a.jsonl", {"text": " a ", "id": 7}, {"meta": {"id": 1, "url": "x"}, "text": "b", "id": 2})
    assert list(read_unlabelled(path)) == [
        UnlabelledText(1, " a ", {"id": 7}),
        UnlabelledText(2, "b", {"id": 2, "url": "x"}),
    ]


def test_a_named_field(tmp_path):
    path = write(tmp_path / "a.jsonl", {"body": "a", "text": 1, "meta": "m"})
    assert list(read_unlabelled(path, "body")) == [UnlabelledText(1, "a", {"text": 1, "meta": "m"})]


def test_a_text_on_each_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a\u2028b\r\n\n{}\n", encoding="utf-8", newline="")
    tally = Tally()
    assert list(read_unlabelled(path, tally=tally)) == [UnlabelledText(1, "a\u2028b", {}), UnlabelledText(3, "{}", {})]
    assert tally == Tally(n_lines=3, left_out=Counter({"empty lines": 1}))


def test_empty_texts_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", {"text": ""}, {"text": " \n"}, {"text": "a"})
    tally = Tally()
    assert [text.line for text in read_unlabelled(path, tally=tally)] == [3]
    assert tally == Tally(n_lines=3, left_out=Counter({"rows without text": 2}))


def test_a_field_that_is_not_there(tmp_path):
    path = write(tmp_path / "a.jsonl", {"text": "a"}, {"body": "a"})
    with pytest.raises(ColumnFormatError) as caught:
        list(read_unlabelled(path))
    assert (caught.value.line, caught.value.expected) == (2, "Pass --text-column with the name of a column.")


def test_names_that_do_not_tell(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        check_unlabelled(tmp_path / "a.jsonl")
    (tmp_path / "a.pdf").touch()
    with pytest.raises(SettingError, match="ends in"):
        check_unlabelled(tmp_path / "a.pdf")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_rows_of_cells(tmp_path, suffix):
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(compress(b'\xef\xbb\xbf id,text\r\n1,"a\r\nb"\r\n\r\n2, \r\n3,c\r\n', suffix))
    tally = Tally()
    assert list(read_unlabelled(path, tally=tally)) == [
        UnlabelledText(2, "a\r\nb", {"id": "1"}),
        UnlabelledText(6, "c", {"id": "3"}),
    ]
    assert tally == Tally(n_lines=6, left_out=Counter({"empty lines": 1, "rows without text": 1}))


def test_rows_that_may_be_merged(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tid\n"a b\t1\nc"\t2\n')
    with pytest.warns(UserWarning, match=r"a\.tsv: warning: rows with line ends .* or write JSONL \(1\)"):
        assert [text.text for text in read_unlabelled(tmp_path / "a.tsv")] == ["a b\t1\nc"]


def test_a_column_that_is_named_twice(tmp_path):
    (tmp_path / "a.tsv").write_text("text\ttext\na\tb\n")
    with pytest.raises(ColumnFormatError, match="line 2: there is no column 'text' among '1', '2'"):
        list(read_unlabelled(tmp_path / "a.tsv"))


def test_a_file_that_is_not_whole(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(compress(b"one\ntwo\n", ".gz")[:-9])
    with pytest.raises(ColumnFormatError, match=r"the file cannot be read from here on \(Compressed file ended"):
        list(read_unlabelled(path))
