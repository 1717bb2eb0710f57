"""Parquet and Arrow files and data sets of the hub, with the names of their classes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import spacy
from commands import run
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_bertft import annotate
from spacy_bertft.data import convert_spans, convert_texts
from spacy_bertft.data.arrow import is_on_hub, read_dataset
from spacy_bertft.errors import DataError, MissingExtraError

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = [
    {"text": "good film", "label": 1, "tokens": ["good", "Ada"], "ner_tags": [0, 1]},
    {"text": "bad film", "label": 0, "tokens": ["bad"], "ner_tags": [0]},
]
TEXT = {"dtype": "string", "_type": "Value"}
TAGS = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
FEATURES = {
    "text": TEXT,
    "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    "tokens": {"feature": TEXT, "_type": "List"},
    "ner_tags": {"feature": TAGS, "_type": "List"},
}


def make_table(rows: list[dict[str, Any]], features: dict[str, Any] = FEATURES) -> pyarrow.Table:
    table = pyarrow.Table.from_pylist(rows)
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_arrow(path: Path, table: pyarrow.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    return path


def write_all(folder: Path) -> list[Path]:
    parquet.write_table(make_table(ROWS), folder / "a.parquet")
    (folder / "shards").mkdir()
    for number, row in enumerate(ROWS):
        parquet.write_table(make_table([row]), folder / "shards" / f"train-{number:05d}-of-00002.parquet")
    write_arrow(folder / "saved" / "data-00000-of-00001.arrow", make_table(ROWS))
    (folder / "saved" / "state.json").write_text("{}")
    return [folder / "a.parquet", folder / "shards", folder / "saved", folder / "saved" / "data-00000-of-00001.arrow"]


class FakeHub(SimpleNamespace):
    """Stands for the package datasets: its hub has one data set."""

    def __init__(self) -> None:
        super().__init__(asked=[])

    def load_dataset(self, name: str, config: str | None, *, split: str, streaming: bool) -> Any:
        self.asked.append((name, config, split, streaming))
        if name != "user/films":
            raise FileNotFoundError(f"Dataset '{name}' doesn't exist\non the hub")
        rows = ROWS if split == "train" else ROWS[:1]
        features = SimpleNamespace(to_dict=lambda: FEATURES)
        return type("Stream", (list,), {"features": features})(rows)


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(Vocab()))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


def test_classes_have_their_names_wherever_they_are(tmp_path, hub):
    expected = [
        {"text": "good film", "label": "pos", "tokens": ["good", "Ada"], "ner_tags": ["O", "B-PER"]},
        {"text": "bad film", "label": "neg", "tokens": ["bad"], "ner_tags": ["O"]},
    ]
    for path in [*write_all(tmp_path), Path("hf://user/films")]:
        assert list(read_dataset(path)) == expected
    assert list(read_dataset(Path("hf://user/films:en:test"))) == expected[:1]
    assert hub.asked == [("user/films", None, "train", True), ("user/films", "en", "test", True)]


def test_they_are_converted_as_categories_or_entities(tmp_path, hub):
    names = [str(path.relative_to(tmp_path)) for path in write_all(tmp_path)]
    for name in [*names, "hf://user/films"]:
        run("spacy_bertft", "convert", name, "cats.spacy", "--as", "cats", cwd=tmp_path)
        assert [doc.cats for doc in read(tmp_path / "cats.spacy")] == [{"neg": 0, "pos": 1}, {"neg": 1, "pos": 0}]
        run("spacy_bertft", "convert", name, "ents.spacy", cwd=tmp_path)
        assert [[ent.text for ent in doc.ents] for doc in read(tmp_path / "ents.spacy")] == [["Ada"], []]


def test_spans_by_character(tmp_path):
    spans = [{"start": 0, "end": 3, "label": 1}]
    features = {"text": TEXT, "spans": [{"start": TEXT, "end": TEXT, "label": TAGS}]}
    parquet.write_table(make_table([{"text": "Ada", "spans": spans}], features), tmp_path / "a.parquet")
    convert_spans(tmp_path / "a.parquet", tmp_path / "a.spacy", kind="ents")
    assert [[ent.label_ for ent in doc.ents] for doc in read(tmp_path / "a.spacy")] == [["B-PER"]]


def test_annotate_reads_the_hub(tmp_path, hub):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
    nlp.to_disk(tmp_path / "model")
    for name, n_rows in (("hf://user/films", 2), ("hf://user/films:en:test", 1)):
        report = annotate(tmp_path / "model", [name], tmp_path / f"out-{n_rows}", shard_rows=1)
        assert (report.n_written, report.n_failed, report.n_shards) == (n_rows, 0, n_rows)
        rows = [json.loads(path.read_text()) for path in sorted((tmp_path / f"out-{n_rows}").glob("*.jsonl"))]
        assert [(row["label"], row["ents"][0]["label"]) for row in rows] == [("pos", "THING"), ("neg", "THING")][
            :n_rows
        ]
    with pytest.raises(DataError, match="Dataset 'other' doesn't exist"):
        annotate(tmp_path / "model", ["hf://other"], tmp_path / "out")
    assert is_on_hub("hf://films:en")
    assert not any(map(is_on_hub, ["hf://datasets/user/films", "hf://datasets/films/data", "films", "s3://films"]))


def test_what_cannot_be_read(tmp_path, hub):
    with pytest.raises(DataError, match=r"hf:/other cannot be read: Dataset 'other' doesn't exist\. Expected"):
        convert_texts("hf://other", tmp_path / "a.spacy")
    with pytest.raises(DataError, match=r"a\.parquet: no such file"):
        convert_texts(tmp_path / "a.parquet", tmp_path / "a.spacy")
    for name in ("a.parquet", "a.arrow"):
        (tmp_path / name).write_bytes(b"no table")
        with pytest.raises(DataError, match=rf"{name} cannot be read: .*Expected a data set"):
            convert_texts(tmp_path / name, tmp_path / "a.spacy")
    for split in ("train", "test"):
        write_arrow(tmp_path / "saved" / split / "data-00000-of-00001.arrow", make_table(ROWS))
    with pytest.raises(DataError, match=r"there are several splits, .*/test/data, .*/train/data\. Pass one of them"):
        convert_texts(tmp_path / "saved", tmp_path / "a.spacy")


def test_a_class_that_is_not_known_is_an_error_with_its_row(tmp_path):
    parquet.write_table(make_table([ROWS[0], {**ROWS[1], "label": -1}]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="line 2: the label is null"):
        convert_texts(tmp_path / "a.parquet", tmp_path / "a.spacy")


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"A data set of the hub needs an extra.*spacy-bertft\[datasets\]"):
        convert_texts("hf://user/films", tmp_path / "a.spacy")


def test_what_datasets_saves(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    kinds = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    kinds["tokens"] = datasets.Sequence(datasets.Value("string"))
    kinds["ner_tags"] = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
    saved = datasets.Dataset.from_list(ROWS, features=datasets.Features(kinds))
    saved.save_to_disk(str(tmp_path / "saved"))
    saved.to_parquet(str(tmp_path / "a.parquet"))
    for path in (tmp_path / "saved", tmp_path / "a.parquet"):
        assert [row["label"] for row in read_dataset(path)] == ["pos", "neg"]
        assert [row["ner_tags"] for row in read_dataset(path)] == [["O", "B-PER"], ["O"]]
    # The stream of the package itself, as the hub's would be.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub").mkdir()
    saved.to_parquet(str(tmp_path / "hub" / "train.parquet"))
    assert [row["label"] for row in read_dataset(Path("hf://hub"))] == ["pos", "neg"]
