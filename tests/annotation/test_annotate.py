"""From files of every format to shards."""

from __future__ import annotations

import json
import random

import pytest
import spacy
import torch
from odd_texts import PARTS
from question_pipelines import make_qa
from row_files import format_jsonl, read_shards, write_rows
from small_checkpoints import TEXTS, make_sentences
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.errors import DataError, SettingError

SENTENCES = [*TEXTS, *make_sentences(25)]


def test_the_answers_are_those_of_the_pipeline(pipeline, tmp_path):
    rows = [{"id": number, "text": text, "more": {"näme": [number]}} for number, text in enumerate(SENTENCES)]
    write_rows(tmp_path / "a.jsonl", rows)
    report = annotate(pipeline, [tmp_path / "a.jsonl"], tmp_path / "out", shard_rows=7, batch_size=4)
    assert (report.n_read, report.n_written, report.n_failed, report.n_shards) == (30, 30, 0, 5)
    nlp = spacy.load(pipeline)
    n_ents = 0
    for row, found in zip(rows, read_shards(tmp_path / "out"), strict=True):
        assert list(found) == ["id", "text", "more", "ents", "cats"]
        assert {name: found[name] for name in row} == row
        doc = nlp(row["text"])
        assert [(ent["start"], ent["end"], ent["label"]) for ent in found["ents"]] == [
            (ent.start_char, ent.end_char, ent.label_) for ent in doc.ents
        ]
        scores = [ent._.bertft_score for ent in doc.ents]
        assert [ent["score"] for ent in found["ents"]] == pytest.approx(scores, abs=1e-4)
        assert found["cats"] == pytest.approx(doc.cats, abs=1e-4)
        n_ents += len(doc.ents)
    assert n_ents > 4


def test_files_of_every_format(ruler, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["a.txt", "b.txt.gz", "c.jsonl", "d.ndjson.gz", "e.csv", "f.tsv.gz", "g.spacy"]
    for name in names:
        plain = write_rows(folder / name.replace("ndjson", "jsonl"), [{"text": f"{name} film"}])
        plain.rename(folder / name)
    (folder / "notes.md").write_text("a film")
    report = annotate(ruler, [folder], tmp_path / "out")
    rows = read_shards(tmp_path / "out")
    assert [row["text"] for row in rows] == [f"{name} film" for name in names]
    assert [len(row["ents"]) for row in rows] == [1] * len(names)
    assert report.left_out == (f"{folder}/notes.md",)
    assert report.n_shards == len(names)
    shards = sorted(path.name for path in (tmp_path / "out").glob("part-*"))
    assert shards == [f"part-{number:05}-000000.jsonl" for number in range(len(names))]


def test_order_holds_and_nothing_is_lost(ruler, tmp_path):
    rng = random.Random(0)
    texts = [f"film {number} {'x' * rng.randrange(200)}" for number in range(500)]
    content = format_jsonl({"text": text} for text in texts[:300])
    (tmp_path / "a.jsonl").write_bytes(content.replace(b"\n", b"\r\n\n"))
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + "\n\n".join(texts[300:]).encode())
    inputs = [tmp_path / "a.jsonl", tmp_path / "b.txt"]
    report = annotate(ruler, inputs, tmp_path / "out", shard_rows=40, shard_mb=0.004, batch_size=7)
    assert [row["text"] for row in read_shards(tmp_path / "out")] == texts
    assert (report.n_written, report.n_empty) == (500, 300 + 199)


@pytest.mark.parametrize("output_format", ["jsonl", "docbin", "parquet"])
def test_odd_texts_come_back_as_they_were(pipeline, tmp_path, output_format):
    if output_format == "parquet":
        pytest.importorskip("pyarrow")
    texts = [*PARTS, "".join(PARTS), *(f"show me {part} films" for part in PARTS)]
    # Half of them spelled as JSON may: in ASCII, with surrogates in pairs.
    lines = [json.dumps({"text": text}, ensure_ascii=number % 2 == 0) for number, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode())
    report = annotate(pipeline, [tmp_path / "a.jsonl"], tmp_path / "out", output_format=output_format, shard_rows=30)
    assert report.n_failed == 0
    paths = sorted((tmp_path / "out").glob("part-*"))
    if output_format == "docbin":
        vocab = spacy.blank("en").vocab
        found = [doc.text for path in paths for doc in DocBin().from_disk(path).get_docs(vocab)]
    elif output_format == "parquet":
        import pyarrow.parquet

        found = [text for path in paths for text in pyarrow.parquet.read_table(path)["text"].to_pylist()]
    else:
        found = [row["text"] for row in read_shards(tmp_path / "out")]
    assert found == texts


def test_empty_texts_are_rows(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": ""}, {"text": " "}, {"text": "film"}, {"text": ""}])
    annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out")
    assert [len(row["ents"]) for row in read_shards(tmp_path / "out")] == [0, 0, 1, 0]


def test_empty_texts_among_others_and_a_head(pipeline, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": text} for text in ("", TEXTS[0], "", TEXTS[1])])
    annotate(pipeline, [tmp_path / "a.jsonl"], tmp_path / "out")
    assert [bool(row["ents"]) for row in read_shards(tmp_path / "out")] == [False, True, False, True]


def test_files_without_rows(ruler, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\n\n")
    (tmp_path / "b.csv").write_bytes(b"text\n")
    (tmp_path / "c.jsonl").write_bytes(b"")
    report = annotate(ruler, [tmp_path / "a.txt", tmp_path / "b.csv", tmp_path / "c.jsonl"], tmp_path / "out")
    assert (report.n_read, report.n_written, report.n_shards, report.n_empty) == (0, 0, 0, 2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


def test_a_prefix_for_what_is_there_already(ruler, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a film", "ents": "mine"}, {"text": "film"}])
    annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out", prefix="new_")
    first, second = read_shards(tmp_path / "out")
    assert (first["ents"], [ent["label"] for ent in first["new_ents"]]) == ("mine", ["THING"])
    assert list(second) == ["text", "new_ents"]


def test_the_words_of_a_stream_are_forgotten(ruler, tmp_path, monkeypatch):
    vocabs = []
    load = spacy.load
    monkeypatch.setattr(spacy, "load", lambda name: vocabs.append(nlp := load(name)) or nlp)
    write_rows(tmp_path / "a.txt", [{"text": f"word{number} film"} for number in range(300)])
    annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", shard_rows=50)
    [nlp] = vocabs
    assert "word7" not in nlp.vocab.strings
    assert "film" in nlp.vocab.strings


def test_tags(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_tagger", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a b"), {"tags": ["X", "Y"]})])
    nlp.to_disk(tmp_path / "model")
    write_rows(tmp_path / "a.txt", [{"text": "show  me"}])
    annotate(tmp_path / "model", [tmp_path / "a.txt"], tmp_path / "out")
    [row] = read_shards(tmp_path / "out")
    assert [(tag["start"], tag["end"]) for tag in row["tags"]] == [(0, 4), (6, 8)]
    assert [tag["tag"] for tag in row["tags"]] == [token.tag_ for token in nlp("show  me") if not token.is_space]


def test_a_pipeline_that_finds_nothing_that_could_be_written(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "model")
    write_rows(tmp_path / "a.txt", [{"text": "A film. Two."}])
    with pytest.raises(SettingError) as caught:
        annotate(tmp_path / "model", [tmp_path / "a.txt"], tmp_path / "out")
    assert (caught.value.name, caught.value.value) == ("pipeline", str(tmp_path / "model"))
    assert "finds entities, categories, spans, tags or answers; for others pass --format docbin" in str(caught.value)
    assert not (tmp_path / "out").exists()
    annotate(tmp_path / "model", [tmp_path / "a.txt"], tmp_path / "out", output_format="docbin")
    [doc] = DocBin().from_disk(tmp_path / "out" / "part-00000-000000.spacy").get_docs(nlp.vocab)
    assert [sent.text for sent in doc.sents] == ["A film.", "Two."]


def test_answers_of_two_components_are_not_one_list(checkpoint, tmp_path):
    nlp = make_qa(checkpoint)
    nlp.add_pipe("bert_qa", name="second", source=nlp.from_config(nlp.config).from_bytes(nlp.to_bytes()))
    nlp.to_disk(tmp_path / "model")
    write_rows(tmp_path / "a.txt", [{"text": "A film."}])
    with pytest.raises(SettingError, match="one bert_qa, whose answers are listed; for several pass --format docbin"):
        annotate(tmp_path / "model", [tmp_path / "a.txt"], tmp_path / "out")


def test_groups_of_spans(ruler, tmp_path):
    nlp = spacy.load(ruler)
    nlp.add_pipe("span_ruler", "nested").add_patterns([{"label": "WHAT", "pattern": "film"}])
    nlp.to_disk(tmp_path / "pipeline")
    texts = write_rows(tmp_path / "a.jsonl", [{"text": "a film"}])
    for output_format in ("jsonl", "docbin"):
        annotate(tmp_path / "pipeline", [texts], tmp_path / output_format, output_format=output_format)
    [row] = read_shards(tmp_path / "jsonl")
    [ent] = row["ents"]
    assert row["spans"] == {"ruler": [{**ent, "label": "WHAT"}]}
    [doc] = DocBin().from_disk(tmp_path / "docbin" / "part-00000-000000.spacy").get_docs(nlp.vocab)
    assert [span.label_ for span in doc.spans["ruler"]] == ["WHAT"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"engine": "spark"}, "engine = 'spark'. Expected one of local, ray"),
        ({"output_format": "xml"}, "format = 'xml'. Expected one of jsonl, parquet, docbin"),
        ({"n_process": 0}, "n_process = 0. Expected a number above 0"),
        ({"batch_size": 0}, "batch_size = 0. Expected a number above 0"),
        ({"shard_rows": 0}, "shard_rows = 0. Expected a number above 0"),
        ({"shard_mb": -1}, "shard_mb = -1. Expected a number above 0"),
        ({"max_chars": 0}, "max_chars = 0. Expected a number above 0"),
        ({"device": "gpu"}, "device = 'gpu'. Expected cpu, cuda, or cuda:N for the GPU number N"),
        ({"text_column": "ents"}, "text_column = 'ents'. Expected a name other than ents; see prefix"),
        ({"text_column": "x_ents", "prefix": "x_"}, "text_column = 'x_ents'. Expected a name other than x_ents"),
    ],
)
def test_settings_that_make_no_sense(ruler, tmp_path, options, problem):
    write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    with pytest.raises(SettingError) as caught:
        annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", **options)
    assert problem in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_there_is_not(ruler, tmp_path):
    write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    with pytest.raises(SettingError, match=r"device = 'cuda'\. Expected cpu; "):
        annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", device="cuda")


def test_output_within_the_input(ruler, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    path = write_rows(tmp_path / "in" / "a.txt", [{"text": "a film"}])
    monkeypatch.chdir(tmp_path)
    for inputs, output in (("in", "in/out"), ("in/", "in"), (".", "out"), (tmp_path / "in", "in/out"), (path, path)):
        with pytest.raises(SettingError) as caught:
            annotate(ruler, [inputs], output)
        assert str(caught.value) == f"output = {str(output)!r}. Expected a directory outside of the input."
    assert annotate(ruler, ["in"], "in-out").n_written == 1


def test_no_such_pipeline_and_no_such_file(ruler, tmp_path):
    path = write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    with pytest.raises(DataError, match=r"nothing is no pipeline\. Expected a folder such as training/model-best"):
        annotate(tmp_path / "nothing", [path], tmp_path / "out")
    with pytest.raises(DataError, match=r"b\.txt: no such file or directory"):
        annotate(ruler, [path, tmp_path / "b.txt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
