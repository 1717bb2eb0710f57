from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import Tally as TextTally
from spacy_bertft.data.texts.labels import LabelledText, read_labelled_texts
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import LabelledRow, find_formats
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError


def read(paths: list[Path], options: TextOptions, tally: TextTally | None = None) -> list[LabelledText]:
    return list(read_labelled_texts(find_formats(paths, options), options, tally or TextTally()))


def test_every_format_reads_the_same(tmp_path: Path) -> None:
    contents = {
        "a.csv": "label,text\nx,one\n\ny, \nz,two\n",
        "a.tsv": "text\tlabel\none\tx\n \ty\n\ntwo\tz\n",
        "a.jsonl": '{"text": "one", "label": "x"}\n{"text": "", "label": ""}\n\n{"text": "two", "label": ["z"]}\n',
    }
    tally = TextTally()
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    paths = [tmp_path / name for name in contents]
    texts = read(paths, TextOptions(), tally)
    assert [(text.row.text, text.cats) for text in texts] == [("one", {"x": 1.0}), ("two", {"z": 1.0})] * 3
    assert tally.n_lines == 14
    assert tally.left_out == {"empty lines": 3, "rows without text": 3}
    assert read(paths, TextOptions()) == texts


def test_a_pair_is_never_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("text,other,label\n,b,x\n")
    [text] = read([source], TextOptions(second_text_column="other"))
    assert (text.row.text, text.row.second) == ("", "b")


def test_labels_are_read_with_their_line(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text('text,label\n"a\nb",x\nc,\n')
    with pytest.raises(ColumnFormatError, match="the label is empty") as caught:
        read([source], TextOptions())
    assert caught.value.line == 4


def make_text(first: str, second: str | None = None) -> LabelledText:
    return LabelledText(LabelledRow(Record("a", 1, {}), first, second, None), {})


def test_copies_differ_in_whitespace_only() -> None:
    assert make_text("a  b").key == make_text(" a\nb").key != make_text("ab").key
    assert make_text("a", "b").key == make_text("a ", "b").key
    assert len({make_text("a", "b").key, make_text("a b").key, make_text("b", "a").key, make_text("a").key}) == 4


def test_what_cannot_be_read(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b"]
    with pytest.raises(DataError, match="No input file"):
        find_formats([], TextOptions())
    paths[0].touch()
    # That the name does not tell the format is not what is wrong with it.
    with pytest.raises(DataError, match="b: no such file"):
        find_formats(paths, TextOptions())
    paths[1].touch()
    with pytest.raises(SettingError, match="pass --format"):
        find_formats(paths, TextOptions())
