from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.vocab import Vocab

from spacy_bertft.data import convert_texts
from spacy_bertft.data.pairs import SEGMENTS
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

MESSAGES = "text,label\nhello,ham\nwin £5 now!,spam\nhello,ham\n"


def read_docs(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(Vocab()))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(str.strip)
labels = st.text(st.sampled_from('ab, "\t'), min_size=1).map(str.strip).filter(bool)


@settings(max_examples=50)
@given(st.lists(st.tuples(texts, labels), min_size=1, max_size=6), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_what_is_written_is_what_was_read(rows: list[tuple[str, str]], file_format: str) -> None:
    with TemporaryDirectory() as folder:
        source, output = Path(folder, f"a.{file_format}"), Path(folder, "a.spacy")
        with source.open("w", encoding="utf-8", newline="") as file:
            if file_format == "jsonl":
                file.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
            else:
                writer = csv.writer(file, delimiter="," if file_format == "csv" else "\t", quoting=csv.QUOTE_ALL)
                writer.writerows([("text", "label"), *rows])
        report = convert_texts(source, output)
        docs = read_docs(output)
    every_label = sorted({label for _, label in rows})
    assert [(doc.text, doc.cats) for doc in docs] == [
        (text, {each: float(each == label) for each in every_label}) for text, label in rows
    ]
    assert all(list(doc.cats) == every_label for doc in docs)
    assert report.label_counts == Counter(label for _, label in rows)
    assert (report.n_docs, report.n_tokens) == (len(rows), sum(map(len, docs)))


def test_the_report(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text(MESSAGES + "\n ,ham\n", encoding="utf-8")
    report = convert_texts(str(source), str(tmp_path / "a.spacy"))
    assert (report.paths, report.n_lines, report.n_docs) == ((source,), 6, 3)
    assert report.label_counts == {"ham": 2, "spam": 1}
    assert report.n_lines_left_out == {"empty lines": 1, "rows without text": 1}
    assert report.format_notes() == (
        "6 lines of 1 file read; left out: empty lines (1), rows without text (1); to check: the same text again: 1 "
        f"(first: {source}, line 4); --problems FILE lists all."
    )


def test_labels_are_those_of_all_files(tmp_path: Path) -> None:
    first, second, output = tmp_path / "a.csv", tmp_path / "b.jsonl", tmp_path / "a.spacy"
    first.write_text("label,text\nb,one\n")
    second.write_text('{"text": "two", "cats": {"a": 0.7, "c": 0}}\n')
    convert_texts([first, second], output)
    assert [doc.cats for doc in read_docs(output)] == [{"a": 0, "b": 1, "c": 0}, {"a": 0.7, "b": 0, "c": 0}]


def test_named_labels_in_their_order(tmp_path: Path) -> None:
    source, names, output = tmp_path / "a", tmp_path / "names", tmp_path / "a.spacy"
    source.write_text("one\t2,0\tid\ntwo\t\tid\n")
    names.write_text("joy\nfear\nanger")
    report = convert_texts(
        source,
        output,
        file_format="tsv",
        header=False,
        text_column="1",
        label_column="2",
        label_separator=",",
        label_names=names,
    )
    assert [list(doc.cats.items()) for doc in read_docs(output)] == [
        [("joy", 1), ("fear", 0), ("anger", 1)],
        [("joy", 0), ("fear", 0), ("anger", 0)],
    ]
    assert report.label_counts == {"anger": 1, "fear": 0, "joy": 1}


def test_pairs_with_lone_quotes(tmp_path: Path) -> None:
    source, output = tmp_path / "a.tsv", tmp_path / "a.spacy"
    source.write_bytes('\ufeffQuality\t#1\t#2\r\n1\t" He left .\tHe " left " .\r\n'.encode())
    columns = {"text_column": "#1", "second_text_column": "#2", "label_column": "Quality"}
    with pytest.raises(ColumnFormatError, match="--no-quoting"):
        convert_texts(source, output, **columns)
    convert_texts(source, output, quoting=False, **columns)
    [doc] = read_docs(output)
    assert doc.text == '" He left .\x1fHe " left " .'
    assert [span.text for span in doc.spans[SEGMENTS]] == ['" He left .', 'He " left " .']


def test_three_parts_keep_copies_together_and_labels_in_proportion(tmp_path: Path) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "a.spacy"
    rows = [f"message {number % 180},{'spam' if number % 180 % 9 == 0 else 'ham'}" for number in range(200)]
    source.write_text("\n".join(["text,label", *rows]))
    report = convert_texts(source, output, test=0.2, dev=0.1, seed=4)
    assert [part.path.name for part in report.parts] == ["a.spacy", "a-dev.spacy", "a-test.spacy"]
    assert [part.n_docs for part in report.parts] == [140, 20, 40]
    found = [[doc.text for doc in read_docs(part.path)] for part in report.parts]
    assert Counter(chain.from_iterable(found)) == Counter(row.split(",")[0] for row in rows)
    assert sum(len(set(part)) for part in found) == 180
    assert [part.label_counts["spam"] for part in report.parts] == [16, 2, 5]
    before = [part.path.read_bytes() for part in report.parts]
    report = convert_texts(source, output, test=0.2, dev=0.1, seed=4)
    assert [part.path.read_bytes() for part in report.parts] == before


def test_spacy_trains_from_it(tmp_path: Path) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "a.spacy"
    source.write_text(MESSAGES, encoding="utf-8")
    convert_texts(source, output)
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat").initialize(lambda: Corpus(output)(nlp), nlp=nlp)
    assert nlp.get_pipe("textcat").labels == ("ham", "spam")


def test_an_error_leaves_the_outputs_as_they_are(tmp_path: Path) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "a.spacy"
    output.write_bytes(b"old")
    source.write_text("text,second,label\na,b,x\nc,,x\n")
    with pytest.raises(ColumnFormatError) as caught:
        convert_texts(source, output, second_text_column="second")
    assert caught.value.line == 3
    assert output.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "content", "settings", "setting"),
    [
        ("a", MESSAGES, {}, "file_format"),
        ("a.csv", MESSAGES, {"file_format": "xml"}, "file_format"),
        ("a.csv", MESSAGES, {"lang": "nowhere"}, "lang"),
        ("a.csv", MESSAGES, {"dev": 1.0}, "dev"),
        ("a.csv", MESSAGES, {"test": -0.5}, "test"),
        ("a.csv", MESSAGES, {"test_path": "b.spacy"}, "test_path"),
        ("a.csv", MESSAGES, {"text_column": "1", "label_column": "1"}, "label_column"),
        ("a.jsonl", '{"text": "a", "label": "x"}', {"header": False}, "header"),
        ("a.jsonl", '{"text": "a", "label": "x"}', {"quoting": True}, "quoting"),
    ],
)
def test_settings_out_of_range(
    tmp_path: Path, name: str, content: str, settings: dict[str, object], setting: str
) -> None:
    source = tmp_path / name
    source.write_text(content, encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        convert_texts(source, tmp_path / "out.spacy", **settings)
    assert caught.value.name == setting
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no text"),
        ('{"text": " ", "label": "x"}\n', "no text"),
        ('{"text": "a", "labels": []}\n', "no label"),
    ],
)
def test_empty_inputs(tmp_path: Path, content: str, problem: str) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(content)
    with pytest.raises(DataError, match=rf"a\.jsonl: {problem}"):
        convert_texts(source, tmp_path / "a.spacy")


def test_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        convert_texts(tmp_path / "missing.csv", tmp_path / "a.spacy")


def test_the_answers_of_prodigy(tmp_path: Path) -> None:
    source, output = tmp_path / "a.jsonl", tmp_path / "a.spacy"
    questions = [
        ("good", "POS", "accept"),
        ("bad", "POS", "reject"),
        ("odd", "NEG", "ignore"),
        ("vile", "NEG", "accept"),
    ]
    lines = [json.dumps({"text": text, "label": label, "answer": answer}) for text, label, answer in questions]
    offered = [{"id": "POS", "text": "positive"}, {"id": "NEG", "text": "negative"}]
    for selected, answer in [(["POS"], "accept"), ([], "accept"), (["NEG"], "reject"), (["NEG"], "ignore")]:
        choice = {"text": "so so", "options": offered, "accept": selected, "answer": answer}
        lines.append(json.dumps({**choice, "cats": {"POS": 0.1, "NEG": 0.9}}))
    source.write_text("\n".join(lines))
    report = convert_texts(source, output)
    assert [(doc.text, doc.cats) for doc in read_docs(output)] == [
        ("good", {"POS": 1}),
        ("bad", {"POS": 0}),
        ("vile", {"NEG": 1}),
        ("so so", {"NEG": 0, "POS": 1}),
        ("so so", {"NEG": 0, "POS": 0}),
        ("so so", {"NEG": 0}),
    ]
    assert report.label_counts == {"NEG": 1, "POS": 2}
    assert report.format_notes().startswith(
        "8 lines of 1 file read; answers: 4 accepted, 2 rejected (their labels are 0); "
        "left out: rows answered with ignore (2); to check: the same text with other labels: 1 "
    )


def test_numbers_of_labels_that_start_at_1(tmp_path: Path) -> None:
    source, names, output = tmp_path / "a.csv", tmp_path / "names", tmp_path / "a.spacy"
    source.write_text("text,label\ngood,2\nbad,1\n")
    names.write_text("NEG\nPOS\nMIXED\n")
    with pytest.raises(DataError, match=r"a\.csv: no row has the label 0, which is 'NEG'\. .*--first-label 1"):
        convert_texts(source, output, label_names=names)
    assert not output.exists()
    for first_label, labels in {1: ["POS", "NEG"], 0: ["MIXED", "POS"]}.items():
        convert_texts(source, output, label_names=names, first_label=first_label)
        assert [max(doc.cats, key=doc.cats.__getitem__) for doc in read_docs(output)] == labels
    source.write_text("text,label\ngood,0\n")
    with pytest.raises(ColumnFormatError, match="Expected a number from 1 to 3"):
        convert_texts(source, output, label_names=names, first_label=1)


def test_a_stray_quote_is_reported(tmp_path: Path) -> None:
    source, output = tmp_path / "a.tsv", tmp_path / "a.spacy"
    source.write_text('label\ttext\n1\t"He left\n0\tShe stayed"\n0\tbye\n')
    report = convert_texts(source, output)
    assert report.n_docs == 2
    assert list(report.counts.values()) == [1]
    assert f"if quotes are text, rows were merged: --no-quoting: 1 (the first: {source}" in report.format_notes()
    assert convert_texts(source, output, quoting=False).n_docs == 3


def test_files_of_other_systems(tmp_path: Path) -> None:
    output = tmp_path / "a.spacy"
    for name, text in {
        "a.csv": "text,label\na\u2028\u0085,x\nb,y\n",
        "b.jsonl": '{"text": "a", "label": "x"}\n',
    }.items():
        for newline in ("\n", "\r\n", "\r"):
            (tmp_path / name).write_bytes((text + "\ufeff" + text).replace("\n", newline).encode())
            report = convert_texts(tmp_path / name, output)
            found = [(doc.text, doc.cats["x"]) for doc in read_docs(output)]
            assert found == ([("a\u2028\u0085", 1), ("b", 0)] if name == "a.csv" else [("a", 1)]) * 2
            assert report.n_byte_order_marks == 1
