"""Every format of texts with categories, each with its oddities, and an independent count of what is in it."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from commands import run
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert_texts
from spacy_bertft.data.files import open_path
from spacy_bertft.errors import ColumnFormatError, DataError, MissingExtraError, SettingError

SEMICOLONS = 'text;label\n"Ja, gern; danke";ham\nGewinnen Sie, jetzt;spam\nNein;ham\n'
PIPES = "label|text\nham|yes, I do\nspam|win; now\n"
ARRAY = json.dumps(
    [{"text": "one", "label": "ham"}, {"text": "two", "label": "spam"}, {"text": " ", "label": "x"}], indent=1
)
FASTTEXT = "__label__ham __label__short yes\n\nwin now __label__spam\n"
TREC = "DESC:manner How did it end ?\nNUM:date When was it ?\nDESC:manner How is it ?\n" * 2
SST = "0 a gorgeous film\n1 a bad one\n0 quite good\n0 so so\n1 no way\n1 well\n"


def count_csv(delimiter: str):
    return lambda content: Counter(row["label"] for row in csv.DictReader(io.StringIO(content), delimiter=delimiter))


def count_first(content: str) -> Counter[str]:
    return Counter(line.split()[0] for line in content.splitlines())


CASES = {
    "semicolons.csv": (SEMICOLONS, count_csv(";")),
    "pipes.txt": (PIPES, count_csv("|")),
    "array.json": (ARRAY, lambda content: Counter(row["label"] for row in json.loads(content)[:2])),
    "train.fasttext": (FASTTEXT, lambda content: Counter(re.findall(r"__label__(\w+)", content))),
    "trec.label": (TREC, count_first),
    "sst.txt": (SST, count_first),
}


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(Vocab()))


def count(path: Path) -> Counter[str]:
    return Counter(label for doc in read(path) for label, value in doc.cats.items() if value > 0.5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_format_has_the_labels_of_an_independent_count(tmp_path, name, encoding):
    content, counted = CASES[name]
    (tmp_path / name).write_text(content, encoding=encoding)
    run("spacy_bertft", "convert", name, "a.spacy", cwd=tmp_path)
    assert count(tmp_path / "a.spacy") == counted(content)
    assert all("__label__" not in doc.text for doc in read(tmp_path / "a.spacy"))


def test_texts_are_exact(tmp_path):
    (tmp_path / "a.csv").write_text(SEMICOLONS)
    convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy")
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["Ja, gern; danke", "Gewinnen Sie, jetzt", "Nein"]
    (tmp_path / "a.csv").write_text("1;a,b;x\n2;c;y\n")
    options = {"header": False, "text_column": "2", "label_column": "3"}
    convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", delimiter=";", **options)
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["a,b", "c"]
    with pytest.raises(ColumnFormatError, match=r"no column '3' among '1', '2'"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", delimiter=",", ragged=True, **options)
    with pytest.raises(SettingError, match="delimiter"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", delimiter=", ", **options)


@pytest.mark.parametrize("name", ["a.csv", "a.fasttext"])
def test_another_encoding_has_to_be_named(tmp_path, name):
    content = "text,label\nZoë,ham\n" if name == "a.csv" else "__label__ham Zoë\n"
    (tmp_path / name).write_text(content, encoding="cp1252")
    with pytest.raises(ColumnFormatError, match=r"byte 0xeb .* is not UTF-8.*--encoding, such as cp1252"):
        convert_texts(tmp_path / name, tmp_path / "a.spacy", file_format=name[2:])
    convert_texts(tmp_path / name, tmp_path / "a.spacy", file_format=name[2:], encoding="cp1252")
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["Zoë"]
    with pytest.raises(SettingError, match="encoding = 'cp0'"):
        convert_texts(tmp_path / name, tmp_path / "a.spacy", file_format=name[2:], encoding="cp0")


def test_a_file_that_is_recoded_is_read_to_its_end_whatever_is_asked_for(tmp_path):
    (tmp_path / "a.txt").write_text("é" * 50_000, encoding="cp1252")
    for n_bytes in (1, 3, 8_191, 99_999):
        with open_path(tmp_path / "a.txt", "cp1252") as file:
            assert len(file.read(n_bytes)) == n_bytes
            assert len(file.read()) == 100_000 - n_bytes


def test_lines_of_fasttext_without_a_label_teach_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("__label__ham yes\nno\n__label__spam win\n")
    report = convert_texts(tmp_path / "a.txt", tmp_path / "a.spacy", file_format="fasttext")
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["yes", "win"]
    assert report.n_lines_left_out == {"lines without a label": 1}
    assert report.first == {"lines without a label": f"{tmp_path / 'a.txt'}, line 2"}


def test_labels_of_several_words_before_a_tab(tmp_path):
    (tmp_path / "a.txt").write_text("Sci Fi\ta film of space\nReal Life\the  lives\n")
    convert_texts(tmp_path / "a.txt", tmp_path / "a.spacy", file_format="label-first")
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["a film of space", "he  lives"]
    assert count(tmp_path / "a.spacy") == {"Sci Fi": 1, "Real Life": 1}
    (tmp_path / "a.txt").write_text("0 a film\n1 of\tspace\n")
    convert_texts(tmp_path / "a.txt", tmp_path / "a.spacy", file_format="label-first")
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["a film", "of\tspace"]


def test_a_first_row_that_may_be_a_text(tmp_path):
    (tmp_path / "a.tsv").write_text("ham\tyes\nspam\twin\n")
    options = {"text_column": "2", "label_column": "1"}
    report = convert_texts(tmp_path / "a.tsv", tmp_path / "a.spacy", **options)
    assert list(report.counts) == ["first rows read as names of columns (--no-header if these are texts)"]
    assert convert_texts(tmp_path / "a.tsv", tmp_path / "a.spacy", header=False, **options).counts == {}
    assert count(tmp_path / "a.spacy") == {"ham": 1, "spam": 1}


def test_a_label_that_is_no_number(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": NaN}\n')
    with pytest.raises(ColumnFormatError, match="the label is NaN"):
        convert_texts(tmp_path / "a.jsonl", tmp_path / "a.spacy")


def test_files_of_one_kind_may_have_other_formats(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nyes,ham\n")
    (tmp_path / "b.jsonl").write_text('{"text": "win", "label": "spam"}\n')
    (tmp_path / "c.bio").write_text("Ada\tB-PER\n")
    run("spacy_bertft", "convert", "a.csv", "b.jsonl", "a.spacy", cwd=tmp_path)
    assert count(tmp_path / "a.spacy") == {"ham": 1, "spam": 1}
    error = run("spacy_bertft", "convert", "c.bio", "b.jsonl", "b.spacy", cwd=tmp_path, code=1)
    assert "c.bio is columns, but b.jsonl is jsonl. Expected files of one kind." in " ".join(error.split())


def test_marks_in_a_text_to_classify_are_no_entities(tmp_path):
    row = {"text": "win now", "label": "spam", "spans": [{"start": 0, "end": 3, "label": "spam"}], "answer": "accept"}
    (tmp_path / "a.jsonl").write_text(json.dumps({**row, "_view_id": "classification"}))
    run("spacy_bertft", "convert", "a.jsonl", "a.spacy", cwd=tmp_path)
    assert count(tmp_path / "a.spacy") == {"spam": 1}


def test_a_column_for_each_label(tmp_path):
    (tmp_path / "a.csv").write_text("id,text,rude,threat\n1,oh no,1,0\n2,well,0,\n3,hm,-1,0.4\n4,yes,true,0.0\n")
    run("spacy_bertft", "convert", "a.csv", "a.spacy", "--label-columns", "rude,threat", cwd=tmp_path)
    cats = [{"rude": 1, "threat": 0}, {"rude": 0}, {"threat": 0.4}, {"rude": 1, "threat": 0}]
    assert [doc.cats for doc in read(tmp_path / "a.spacy")] == cats
    (tmp_path / "a.jsonl").write_text('{"text": "a", "rude": true, "threat": 0}\n{"text": "b", "rude": 0}\n')
    convert_texts(tmp_path / "a.jsonl", tmp_path / "a.spacy", label_columns="rude,threat")
    assert [doc.cats for doc in read(tmp_path / "a.spacy")] == [{"rude": 1, "threat": 0}, {"rude": 0}]
    convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", label_columns={"3": "RUDE"})
    assert [doc.cats for doc in read(tmp_path / "a.spacy")] == [{"RUDE": 1}, {"RUDE": 0}, {}, {"RUDE": 1}]
    with pytest.raises(ColumnFormatError, match="there is no column 'other'"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", label_columns="rude,other")
    with pytest.raises(SettingError, match="label_separator = ','"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", label_columns="rude", label_separator=",")
    (tmp_path / "a.csv").write_text("text,rude\na,2\n")
    with pytest.raises(ColumnFormatError, match="line 2: the value of the label 'rude' is 2"):
        convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", label_columns="rude")


def test_several_columns_of_labels(tmp_path):
    (tmp_path / "a.csv").write_text("text,topic,mood\na,sport,glad\nb,,sad\nc,,\n")
    convert_texts(tmp_path / "a.csv", tmp_path / "a.spacy", label_column="topic,mood")
    found = [[label for label, value in doc.cats.items() if value] for doc in read(tmp_path / "a.spacy")]
    assert found == [["glad", "sport"], ["sad"], []]


def test_a_folder_for_each_class(tmp_path):
    for name in ("pos/1.txt", "pos/2.TXT", "neg/1.txt", "urls.txt", ".copies/1.txt"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"a film, {name}\n")
    output = run("spacy_bertft", "convert", "train", "a.spacy", cwd=tmp_path)
    assert count(tmp_path / "a.spacy") == {"pos": 2, "neg": 1}
    assert "texts that are not in a folder of a class (1, the first: train/urls.txt)" in output


def test_a_directory_of_nothing(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(AssertionError, match=r"train: no labelled data|this is a directory"):
        run("spacy_bertft", "convert", "train", "a.spacy", cwd=tmp_path)


@pytest.mark.parametrize("content", ["the DT\ndog NN\n" * 6, "it rains\nit snows hard\n\nit is\n", "a b c\n"])
def test_lines_of_other_kinds_have_no_label_first(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(AssertionError, match="no labelled data of a known format"):
        run("spacy_bertft", "convert", "a.txt", "a.spacy", cwd=tmp_path)


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra xlsx")
    book = openpyxl.Workbook()
    for row in (
        ["text", "label", "n"],
        ["yes", "ham", 1],
        [None, None, None],
        ["win\nnow", 7, 2.5],
        [3.5, "ham", None],
    ):
        book.active.append(row)
    book.create_sheet("notes").append(["text"])
    book.save(tmp_path / "a.xlsx")
    output = run("spacy_bertft", "convert", "a.xlsx", "a.spacy", cwd=tmp_path)
    assert count(tmp_path / "a.spacy") == {"ham": 2, "7": 1}
    assert [doc.text for doc in read(tmp_path / "a.spacy")] == ["yes", "win\nnow", "3.5"]
    assert (
        "empty lines (1), sheets after the first one (1)" in output or "sheets after the first one (1), empty" in output
    )
    report = convert_texts(tmp_path / "a.xlsx", tmp_path / "a.spacy", number_columns="n")
    assert report.ranges == {"n": (1, 1.75, 2.5)}
    (tmp_path / "b.xlsx").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"b\.xlsx cannot be read"):
        convert_texts(tmp_path / "b.xlsx", tmp_path / "a.spacy")


def test_excel_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK\3\4")
    with pytest.raises(MissingExtraError, match=r"An Excel file needs an extra.*spacy-bertft\[xlsx\]"):
        convert_texts(tmp_path / "a.xlsx", tmp_path / "a.spacy")
