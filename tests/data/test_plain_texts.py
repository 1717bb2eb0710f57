from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_bertft.data.unlabelled import read_plain_texts
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one "}\n\n{"text": " "}\n{"text": "two", "label": 3}\n')
    read = read_plain_texts(path)
    assert (read.texts, read.held_out) == (("one ", "two"), ())
    assert read.n_left_out == {"empty lines": 1, "rows without text": 1}
    path.write_text('{"query": "one"}\n')
    assert read_plain_texts(path, "query").texts == ("one",)


def test_one_text_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\r\n \ntwo\u2028three\n", newline="")
    read = read_plain_texts(path)
    assert read.texts == ("one", "two\u2028three")
    assert read.n_left_out == {"empty lines": 1}


def test_docs(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    DocBin(docs=[nlp("one  two"), nlp("")]).to_disk(tmp_path / "a.spacy")
    read = read_plain_texts(tmp_path / "a.spacy")
    assert read.texts == ("one  two",)
    assert read.n_left_out == {"rows without text": 1}


def test_copies_are_held_out_together(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"text {number % 50}\n" for number in range(100)))
    read = read_plain_texts(path, dev=0.1)
    assert len(read.held_out) == 10
    assert not set(read.texts) & set(read.held_out)
    assert sorted(read.texts + read.held_out) == sorted(path.read_text().splitlines())
    assert read_plain_texts(path, dev=0.1) == read
    assert read_plain_texts(path, dev=0.1, seed=1) != read


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(DataError, match="no such file"):
        read_plain_texts(path)
    path.write_text('{"text": "a"}\n{"query": "b"}\n')
    with pytest.raises(ColumnFormatError, match="there is no column 'text' among 'query'") as caught:
        read_plain_texts(path)
    assert caught.value.line == 2
    with pytest.raises(SettingError, match="ends in one of"):
        read_plain_texts(tmp_path / "a.pdf")
    path.write_text("\n")
    with pytest.raises(DataError, match="there is no text"):
        read_plain_texts(path)
    path.write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match="Cannot split"):
        read_plain_texts(path, dev=0.5)
    with pytest.raises(SettingError, match="dev"):
        read_plain_texts(path, dev=1.5)
