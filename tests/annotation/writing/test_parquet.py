from __future__ import annotations

import datetime
import decimal
import json

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from row_files import write_rows
from small_checkpoints import TEXTS
from spacy.tokens import DocBin

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.annotation.chunks import Chunk
from spacy_bertft.annotation.rows import TextRow
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.annotation.values import EXTRA, find_kinds
from spacy_bertft.annotation.writers import ParquetWriter
from spacy_bertft.data import convert_spans, convert_texts

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
NLP = spacy.blank("en")
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers((1 << 63) - 2, (1 << 63) + 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(any_text, inner, max_size=2), max_leaves=4
)
names = st.sampled_from(["a", "b", EXTRA, "naïve", ""])
rows = st.lists(
    st.builds(lambda text, columns: {**columns, "text": text}, any_text, st.dictionaries(names, values)),
    min_size=1,
    max_size=8,
)


def read(output):
    paths = sorted(output.glob("part-*.parquet"))
    return pyarrow.concat_tables([parquet.read_table(path) for path in paths])


def restore(row: dict) -> dict:
    """Put what a shard holds of a row together again."""
    extra = json.loads(row.get(EXTRA) or "{}")
    return {name: value for name, value in row.items() if name not in (EXTRA, "ents")} | extra


def spell(row: dict) -> dict:
    """Tell true from 1; a column of fractions holds 1 as 1.0, and null stands for what is not there."""
    return {name: (value, isinstance(value, bool)) for name, value in row.items() if value is not None}


@given(rows, st.integers(0, 4), st.sampled_from(["text", EXTRA]))
def test_every_value_can_be_got_back(written, n_sampled, text_column):
    if text_column == EXTRA:
        written = [{**row, EXTRA: row["text"]} for row in written]
    kinds = find_kinds(written[:n_sampled], text_column)
    settings = AnnotateSettings("parquet", text_column, answers={"ents": "ents"}, kinds=kinds)
    writer = ParquetWriter(settings)
    taken = [writer.format_row(TextRow(line, "", row), NLP.make_doc("")) for line, row in enumerate(written, start=1)]
    content = writer.format_shard(taken, range(1, len(written) + 1), Chunk("a", "jsonl", "a"))
    found = parquet.read_table(pyarrow.BufferReader(content))
    assert found.column_names == [*kinds, EXTRA, "ents"]
    assert [spell(restore(row)) for row in found.to_pylist()] == [spell(row) for row in written]


def test_columns_of_parquet_keep_their_types(ruler, tmp_path):
    day = datetime.date(2020, 1, 2)
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    columns = {
        "id": pyarrow.array(range(6), "uint16"),
        "text": pyarrow.array(["a film", "b", None, "c film", "", "d"], "large_string"),
        "moment": pyarrow.array([moment, None] * 3, pyarrow.timestamp("us", "Europe/Berlin")),
        "nanoseconds": pyarrow.array([1, None] * 3, pyarrow.timestamp("ns")),
        "day": pyarrow.array([day, None] * 3, "date32"),
        "price": pyarrow.array([decimal.Decimal("1.20"), None] * 3, pyarrow.decimal128(30, 2)),
        "list": pyarrow.array([[1, None], None, []] * 2, pyarrow.list_(pyarrow.float32())),
        "struct": pyarrow.array([{"a": 1, "b": ["x"]}, None] * 3),
        "map": pyarrow.array([[("a", 1)], None] * 3, pyarrow.map_("string", "int8")),
        "dictionary": pyarrow.array(["x", "y", None] * 2).dictionary_encode(),
        "bytes": pyarrow.array([b"\xff", None] * 3, "binary"),
        "float": pyarrow.array([float("nan"), float("inf"), 0.1] * 2, "float32"),
        "null": pyarrow.nulls(6),
    }
    table = pyarrow.table(columns).replace_schema_metadata({"owner": "me"})
    parquet.write_table(table, tmp_path / "a.parquet")
    report = annotate(ruler, [tmp_path / "a.parquet"], tmp_path / "out", output_format="parquet", shard_rows=4)
    assert (report.n_written, report.n_failed, report.n_shards) == (5, 1, 2)
    found, expected = read(tmp_path / "out"), parquet.read_table(tmp_path / "a.parquet").take([0, 1, 3, 4, 5])
    assert found.select(expected.column_names).schema.equals(expected.schema, check_metadata=True)
    for name in expected.column_names:
        kept, given_ = found[name].combine_chunks(), expected[name].combine_chunks()
        if name == "dictionary":  # each shard has one of its own
            kept, given_ = kept.cast("string"), given_.cast("string")
        assert str(kept.to_pylist()) == str(given_.to_pylist()), name
    assert [[ent["label"] for ent in ents] for ents in found["ents"].to_pylist()] == [["THING"], [], ["THING"], [], []]


def test_columns_of_arrow_are_kept(ruler, tmp_path):
    table = pyarrow.table({"id": [1, 2], "text": ["a film", "b"]})
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    annotate(ruler, [tmp_path / "a.arrow"], tmp_path / "out", output_format="parquet")
    assert read(tmp_path / "out").select(["id", "text"]).to_pydict() == table.to_pydict()


def test_columns_of_csv_are_strings(ruler, tmp_path):
    write_rows(tmp_path / "a.csv", [{"id": "007", "text": "a film", "n": ""}, {"id": "1.0", "text": "b", "n": "null"}])
    annotate(ruler, [tmp_path / "a.csv"], tmp_path / "out", output_format="parquet")
    found = read(tmp_path / "out")
    assert found.column_names == ["id", "text", "n", "ents"]
    assert found.drop_columns("ents").to_pylist() == [
        {"id": "007", "text": "a film", "n": ""},
        {"id": "1.0", "text": "b", "n": "null"},
    ]


def test_shards_of_objects_have_one_schema(ruler, tmp_path):
    first = [{"text": "a film", "id": 1, "mixed": "x"}, {"text": "b", "id": None, "mixed": 1}]
    second = [{"text": "c", "id": "two", "late": [1 << 70]}]
    write_rows(tmp_path / "a.jsonl", first)
    write_rows(tmp_path / "b.jsonl.gz", second)
    write_rows(tmp_path / "c.jsonl", [])
    inputs = [tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl")]
    annotate(ruler, inputs, tmp_path / "out", output_format="parquet", shard_rows=1)
    found = read(tmp_path / "out")
    assert found.column_names == ["text", "id", "mixed", EXTRA, "ents"]
    # The first chunk, here the first row, tells what the columns hold.
    assert found.schema.field("id").type == pyarrow.int64()
    assert found.schema.field("mixed").type == pyarrow.string()
    assert [spell(restore(row)) for row in found.to_pylist()] == [spell(row) for row in first + second]


def test_lines_of_text_and_documents(ruler, tmp_path):
    write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    write_rows(tmp_path / "b.spacy", [{"text": "b film"}])
    inputs = [tmp_path / "a.txt", tmp_path / "b.spacy"]
    annotate(ruler, inputs, tmp_path / "out", output_format="parquet", text_column="body")
    assert read(tmp_path / "out").to_pylist() == [
        {"body": f"{letter} film", "ents": [{"start": 2, "end": 6, "label": "THING", "text": "film", "score": None}]}
        for letter in "ab"
    ]


def test_categories_and_tags_have_types_of_their_own(pipeline, tmp_path):
    write_rows(tmp_path / "a.txt", [{"text": "show me the film"}])
    annotate(pipeline, [tmp_path / "a.txt"], tmp_path / "out", output_format="parquet", prefix="found_")
    found = read(tmp_path / "out")
    assert found.column_names == ["text", "found_ents", "found_cats"]
    assert found.schema.field("found_cats").type == pyarrow.map_(pyarrow.string(), pyarrow.float64())
    assert dict(found["found_cats"][0].as_py()).keys() == {"film", "other", "me", "the"}


def test_spans_have_a_column(ruler, tmp_path):
    nlp = spacy.load(ruler)
    nlp.add_pipe("span_ruler").add_patterns([{"label": "WHAT", "pattern": "film"}])
    nlp.to_disk(tmp_path / "pipeline")
    write_rows(tmp_path / "a.txt", [{"text": "a film"}, {"text": "b"}])
    annotate(tmp_path / "pipeline", [tmp_path / "a.txt"], tmp_path / "out", output_format="parquet")
    found = [dict(each) for each in read(tmp_path / "out")["spans"].to_pylist()]
    expected = {"start": 2, "end": 6, "label": "WHAT", "text": "film", "score": None}
    assert found == [{"ruler": [expected]}, {"ruler": []}]


def test_convert_reads_shards(pipeline, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS))
    annotate(pipeline, [tmp_path / "a.txt"], tmp_path / "out", output_format="parquet")
    nlp = spacy.load(pipeline)
    convert_spans(tmp_path / "out", tmp_path / "ents.spacy", kind="ents")
    convert_texts(tmp_path / "out", tmp_path / "cats.spacy")
    written = [DocBin().from_disk(tmp_path / f"{kind}.spacy").get_docs(nlp.vocab) for kind in ("ents", "cats")]
    for doc, with_ents, with_cats in zip(nlp.pipe(TEXTS), *written, strict=True):
        assert [(ent.text, ent.label_) for ent in with_ents.ents] == [(ent.text, ent.label_) for ent in doc.ents]
        assert with_cats.cats == pytest.approx(doc.cats, abs=1e-5)
