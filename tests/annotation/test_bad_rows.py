"""Rows that cannot be annotated: all others are, and each of them is reported with its line."""

from __future__ import annotations

import json
import random

import pytest
import spacy
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from row_files import compress, format_jsonl, read_errors, read_shards, write_rows
from spacy.language import Language
from spacy.pipeline import EntityRuler
from spacy.tokens import Doc

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.components.ner import BertNer
from spacy_bertft.data import rows as reader
from spacy_bertft.errors import DataError

MAX_LINE_BYTES = 12_000_000
# Each kind: the line, and what is said of it.
BAD_LINES = {
    "not JSON": (b'{"text": "a film"', "the line is not JSON: Expecting ',' delimiter at column 18. Expected one"),
    "no object": (b'["a film"]', 'the line holds ["a film"]. Expected one JSON object per line.'),
    "no text": (b'{"body": "a film"}', "there is no column 'text' among 'body'. Pass --text-column with the name"),
    "no string": (b'{"text": 12}', "the column 'text' holds 12. Expected a string."),
    "not UTF-8": (b'{"text": "caf\xe9"}', "byte 0xe9 at position 14 of the line is not UTF-8. Expected UTF-8;"),
    "NUL": (b'{"text": "a\0b"}', "the line holds a NUL. Expected text; is this a binary file?"),
    "lone surrogate": (b'{"text": "a \\ud800 film"}', "it spells a lone surrogate, U+D800. Expected whole characters."),
    "long text": (
        b'{"text": "%s"}' % (b"film " * 2_000_000),
        "the text has 10,000,000 characters. Expected 1,000,000 at most; see --max-chars.",
    ),
    "long line": (b"x" * (MAX_LINE_BYTES + 1), "the line is longer than 12,000,000 bytes. Expected shorter lines;"),
    "column that is there": (
        b'{"text": "a", "ents": []}',
        "there is a column 'ents' already. Pass --prefix, so that new columns get other names.",
    ),
    "endless nesting": (b'{"text": "a", "x": ' + b"[" * 100_000, "the line is not JSON: its brackets are nested"),
    "endless number": (b'{"text": "a", "x": 1' + b"0" * 5000 + b"}", "the line is not JSON: Exceeds the limit"),
}


@Language.component("annotate_refuse_some")
def refuse_some(doc: Doc) -> Doc:
    if "refuse" in doc.text:
        raise KeyError("no\nword")
    return doc


class RefusingTokenizer:
    def __init__(self, nlp: Language) -> None:
        self._tokenizer = spacy.blank("en", vocab=nlp.vocab).tokenizer

    def __call__(self, text: str) -> Doc:
        if "refuse" in text:
            raise ValueError("no\nword")
        return self._tokenizer(text)

    def to_bytes(self, **kwargs: object) -> bytes:
        return b""

    def from_bytes(self, content: bytes, **kwargs: object) -> RefusingTokenizer:
        return self

    def to_disk(self, path: object, **kwargs: object) -> None:
        pass

    def from_disk(self, path: object, **kwargs: object) -> RefusingTokenizer:
        return self


@spacy.registry.tokenizers("annotate_refusing_tokenizer")
def configure_refusing_tokenizer() -> type[RefusingTokenizer]:
    return RefusingTokenizer


def check(output, report, rows, expected: list[tuple[int, str]], source: str) -> None:
    """Check that all rows but the bad ones are written, and those told."""
    shards = read_shards(output)
    assert [{name: value for name, value in row.items() if name != "ents"} for row in shards] == rows
    assert all(row["ents"] for row in shards)
    errors = read_errors(output)
    assert [error["line"] for error in errors] == [line for line, _ in expected]
    for error, (_, reason) in zip(errors, expected, strict=True):
        assert error.keys() == {"file", "line", "reason"}
        assert error["file"] == source
        assert error["reason"].startswith(reason)
    assert (report.n_read, report.n_written, report.n_failed) == (len(rows) + len(expected), len(rows), len(expected))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_one_bad_row_of_a_hundred(ruler, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", MAX_LINE_BYTES)
    rng = random.Random(0)
    rows = [{"text": f"film number {number}", "id": number} for number in range(100 * len(BAD_LINES))]
    written = [format_jsonl([row]).rstrip(b"\n") for row in rows]
    expected = []
    for line, (bad, reason) in zip(
        sorted(rng.sample(range(len(rows)), len(BAD_LINES))), BAD_LINES.values(), strict=True
    ):
        written.insert(line, bad)
        expected.append((line + 1, reason))
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(compress(b"\n".join(written), suffix))
    report = annotate(ruler, [path], tmp_path / "out", shard_rows=70, shard_mb=1)
    check(tmp_path / "out", report, rows, expected, str(path))
    assert f"{len(expected)} failed (see {tmp_path / 'out'}/errors.jsonl)" in str(report)


@effort(max_examples=15)
@given(st.lists(st.sampled_from([None, *(name for name in BAD_LINES if "long" not in name)]), min_size=1, max_size=12))
def test_bad_rows_anywhere(ruler, tmp_path_factory, kinds):
    folder = tmp_path_factory.mktemp("a")
    good = b'{"text": "a film"}'
    (folder / "a.jsonl").write_bytes(
        b"\n".join(good if kind is None else BAD_LINES[kind][0] for kind in [*kinds, None])
    )
    report = annotate(ruler, [folder / "a.jsonl"], folder / "out", shard_rows=3)
    expected = [(line, BAD_LINES[kind][1]) for line, kind in enumerate(kinds, start=1) if kind]
    n_good = len(kinds) + 1 - len(expected)
    if expected:
        check(folder / "out", report, [{"text": "a film"}] * n_good, expected, str(folder / "a.jsonl"))
    else:
        assert not (folder / "out" / "errors.jsonl").exists()
        assert report.n_written == n_good


def test_bad_rows_of_csv(ruler, tmp_path):
    bad = {
        b'"film" closed early,1': "a quote is closed before its cell ends",
        b"film": "the row has 1 cell. Expected 2",
        b"film,1,2": "the row has 3 cells. Expected 2",
        b"caf\xe9 film,1": "byte 0xe9 at position 4 of the line is not UTF-8",
        b"a\0film,1": "the line holds a NUL",
        b"film" * 40_000 + b",1": "a cell has more than 131,072 characters",
    }
    rows = [{"text": f'a "film",\n{number}', "id": str(number)} for number in range(600)]
    content, expected, line = [b"text,id"], [], 2
    for number, row in enumerate(rows):
        content.append('"{}",{}'.format(row["text"].replace('"', '""'), row["id"]).encode())
        line += 2
        if number % 100 == 50:
            row_bytes, reason = list(bad.items())[number // 100]
            content.append(row_bytes)
            expected.append((line, reason))
            line += 1
    (tmp_path / "a.csv").write_bytes(b"\n".join(content))
    report = annotate(ruler, [tmp_path / "a.csv"], tmp_path / "out", shard_rows=70)
    check(tmp_path / "out", report, rows, expected, str(tmp_path / "a.csv"))


def test_strict_stops_at_the_first(ruler, tmp_path):
    texts = [f"film {number}" for number in range(20)]
    objects: list = [{"text": text} for text in texts]
    objects[11] = objects[15] = {"text": None}
    (tmp_path / "a.jsonl").write_bytes(format_jsonl(objects))
    with pytest.raises(DataError) as caught:
        annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out", shard_rows=5, strict=True)
    assert str(caught.value) == f"{tmp_path / 'a.jsonl'}, line 12: the column 'text' holds null. Expected a string."
    # What was done before is kept; once the row is fixed or may be left out, the run goes on.
    assert [row["text"] for row in read_shards(tmp_path / "out")] == texts[:10]
    report = annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out", shard_rows=5)
    assert (report.n_shards_before, report.n_written, report.n_failed) == (2, 18, 2)


def test_strict_tells_a_file_as_a_whole(ruler, tmp_path):
    (tmp_path / "a.spacy").write_bytes(b"no docs")
    with pytest.raises(DataError, match=r"a\.spacy: the file holds no Docs \("):
        annotate(ruler, [tmp_path / "a.spacy"], tmp_path / "out", strict=True)


def test_strict_without_a_problem(ruler, tmp_path):
    write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    assert annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", strict=True).n_written == 1


def test_files_that_cannot_be_read(ruler, tmp_path):
    pytest.importorskip("pyarrow")
    folder = tmp_path / "in"
    folder.mkdir()
    content = b"".join(b"film %x\n" % random.Random(number).getrandbits(500) for number in range(3000))
    for suffix in (".gz", ".zst"):
        (folder / f"a.txt{suffix}").write_bytes(compress(content, suffix)[:-1000])
    (folder / "b.parquet").write_bytes(b"no table")
    (folder / "c.spacy").write_bytes(b"no docs")
    (folder / "d.csv").write_bytes(b"no,column\n1,2\n")
    (folder / "e.txt").write_bytes(b"a film\n")
    report = annotate(ruler, [folder], tmp_path / "out")
    errors = read_errors(tmp_path / "out")
    names = [error["file"].removeprefix(f"{folder}/") for error in errors]
    assert names == ["a.txt.gz", "a.txt.zst", "b.parquet", "c.spacy", "d.csv"]
    assert [error["line"] for error in errors][2:] == [None, None, 1]
    rows = read_shards(tmp_path / "out")
    assert rows[-1]["text"] == "a film"
    # A line of the gzip file may have lost its end.
    gz = [row["text"] for row in rows if len(row["text"]) > 6][: errors[0]["line"] - 1]
    assert gz[:-1] == content.decode().split("\n")[: len(gz) - 1]
    assert len(gz) > 2500
    assert report.n_failed == 5


def save(folder, component: str | None = None, tokenizer: str | None = None):
    config = {"nlp": {"tokenizer": {"@tokenizers": tokenizer}}} if tokenizer else {}
    nlp = spacy.blank("en", config=config)
    if component:
        nlp.add_pipe(component)
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
    nlp.to_disk(folder)
    return folder


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        ({"component": "annotate_refuse_some"}, "'annotate_refuse_some' failed: KeyError: 'no\\nword'"),
        ({"tokenizer": "annotate_refusing_tokenizer"}, "'tokenizer' failed: ValueError: no word"),
    ],
)
@pytest.mark.parametrize("output_format", ["jsonl", "docbin"])
def test_a_document_that_a_component_refuses(tmp_path, faulty, reason, output_format):
    model = save(tmp_path / "model", **faulty)
    texts = [f"film {number}" for number in range(30)]
    texts[4] = texts[5] = texts[17] = "refuse the film"
    write_rows(tmp_path / "a.txt", [{"text": text} for text in texts])
    report = annotate(
        model, [tmp_path / "a.txt"], tmp_path / "out", batch_size=8, shard_rows=12, output_format=output_format
    )
    assert (report.n_written, report.n_failed) == (27, 3)
    errors = read_errors(tmp_path / "out")
    assert [error["line"] for error in errors] == [5, 6, 18]
    assert {error["reason"] for error in errors} == {reason}
    if output_format == "jsonl":
        assert [row["text"] for row in read_shards(tmp_path / "out")] == [text for text in texts if "ref" not in text]


def test_a_batch_that_a_component_of_ours_refuses(pipeline, tmp_path, monkeypatch):
    # Such a component is given batches, and spaCy leaves out a batch whole.
    predict = BertNer.predict

    def refuse(self, docs):
        if any("refuse" in doc.text for doc in docs):
            raise RuntimeError("no")
        return predict(self, docs)

    monkeypatch.setattr(BertNer, "predict", refuse)
    texts = ["show me films", "refuse this", "who directed it", "find me all"] * 3
    write_rows(tmp_path / "a.txt", [{"text": text} for text in texts])
    report = annotate(pipeline, [tmp_path / "a.txt"], tmp_path / "out", batch_size=4)
    assert (report.n_written, report.n_failed) == (9, 3)
    assert [row["text"] for row in read_shards(tmp_path / "out")] == [text for text in texts if text != "refuse this"]
    errors = read_errors(tmp_path / "out")
    assert [error["line"] for error in errors] == [2, 6, 10]
    assert {error["reason"] for error in errors} == {"'bert_ner' failed: RuntimeError: no"}


def test_a_document_that_a_rule_refuses(ruler, tmp_path, monkeypatch):
    # spaCy's own rules give None in its place.
    match = EntityRuler.match

    def refuse(self, doc):
        if "refuse" in doc.text:
            raise RuntimeError("no")
        return match(self, doc)

    monkeypatch.setattr(EntityRuler, "match", refuse)
    write_rows(tmp_path / "a.txt", [{"text": text} for text in ("a film", "refuse", "film")])
    report = annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out")
    assert [row["text"] for row in read_shards(tmp_path / "out")] == ["a film", "film"]
    [error] = read_errors(tmp_path / "out")
    assert (error["line"], error["reason"]) == (2, "'entity_ruler' failed: RuntimeError: no")
    assert report.n_failed == 1


def test_max_chars(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a film"}, {"text": "film"}, {"text": "naïve"}])
    write_rows(tmp_path / "b.spacy", [{"text": "a film"}, {"text": "film"}])
    report = annotate(ruler, [tmp_path / "a.jsonl", tmp_path / "b.spacy"], tmp_path / "out", max_chars=5)
    assert [row["text"] for row in read_shards(tmp_path / "out")] == ["film", "naïve", "film"]
    reason = "the text has 6 characters. Expected 5 at most; see --max-chars."
    assert [(error["line"], error["reason"]) for error in read_errors(tmp_path / "out")] == [(1, reason)] * 2
    assert report.n_failed == 2


def test_a_limit_above_that_of_the_pipeline(ruler, tmp_path):
    write_rows(tmp_path / "a.txt", [{"text": "film" + " " * 1_100_000}])
    assert annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", max_chars=2_000_000).n_written == 1


def test_nothing_that_could_be_annotated(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"body": "a"}, {"body": "film"}])
    with pytest.raises(DataError) as caught:
        annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out")
    assert str(caught.value) == f"2 rows read, none could be annotated; {tmp_path / 'out'}/errors.jsonl says why."
    assert len(read_errors(tmp_path / "out")) == 2


def test_errors_are_json_that_any_reader_takes(ruler, tmp_path):
    (tmp_path / "naïve.jsonl").write_bytes('{"text": "film"}\n{"näme": "\u2028"}\n'.encode())
    annotate(ruler, [tmp_path / "naïve.jsonl"], tmp_path / "out")
    [line] = (tmp_path / "out" / "errors.jsonl").read_bytes().decode().split("\n")[:-1]
    assert json.loads(line)["file"].endswith("naïve.jsonl")
    assert "'näme'" in json.loads(line)["reason"]
