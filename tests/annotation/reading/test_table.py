from __future__ import annotations

import sys
from pathlib import Path

import pytest
import spacy
from commands import run_python

from spacy_bertft.annotation.chunks import cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.rows import parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
TEXTS = [f"text {number}" for number in range(1000)]


def cut(path, **settings) -> list:
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, AnnotateSettings(**settings)))
    assert sum(chunk.weight for chunk in chunks) == path.stat().st_size
    return chunks


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["body", "id"], "there is no column 'text' among 'body', 'id'. Pass --text-column with the name of a column."),
        (["text", "text"], "the header names a column twice. Expected each name once."),
        (["text", "ents"], "there is a column 'ents' already. Pass --prefix, so that new columns get other names."),
    ],
)
def test_columns_that_make_no_sense(tmp_path, names, reason):
    parquet.write_table(pyarrow.table([["a"], ["b"]], names=names), tmp_path / "a.parquet")
    [chunk] = cut(tmp_path / "a.parquet", answers={"ents": "ents"})
    assert chunk.problems == [(None, f"{reason} The file is left out.")]
    assert list(parse_rows(chunk, AnnotateSettings(), spacy.blank("en").vocab, 100)) == chunk.problems


def test_a_file_that_is_no_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"text\n" * 100)
    [chunk] = cut(tmp_path / "a.parquet")
    [(line, reason)] = chunk.problems
    assert line is None
    assert reason.startswith("the file is no Parquet file (")
    assert "\n" not in reason


def test_of_a_damaged_file_what_was_good_is_kept(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": TEXTS}), path, row_group_size=100, use_dictionary=False)
    content = bytearray(path.read_bytes())
    # Where the seventh part of the rows stands.
    start = parquet.ParquetFile(path).metadata.row_group(6).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))
    *good, bad = cut(path, shard_rows=100)
    assert sum(pyarrow.ipc.open_stream(chunk.table).read_all().num_rows for chunk in good) == 600
    assert bad.problems[0].reason.startswith("the file cannot be read from row 601 on (")


def test_size_decides_too(tmp_path):
    parquet.write_table(pyarrow.table({"text": ["x" * 1000] * 100}), tmp_path / "a.parquet")
    chunks = cut(tmp_path / "a.parquet", shard_mb=0.01)
    sizes = [pyarrow.ipc.open_stream(chunk.table).read_all().num_rows for chunk in chunks]
    assert sum(sizes) == 100
    assert max(sizes) <= 10
    assert [chunk.first_row for chunk in chunks] == [1 + sum(sizes[:number]) for number in range(len(sizes))]


def test_a_table_without_rows(tmp_path):
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], "string")}), tmp_path / "a.parquet")
    [source] = find_inputs([str(tmp_path / "a.parquet")]).sources
    assert list(cut_source(source, AnnotateSettings())) == []


def make_moments(value: int, unit: str) -> pyarrow.Table:
    moments = pyarrow.array([value], pyarrow.timestamp(unit))
    columns = {
        "text": ["a"],
        "alone": moments,
        "list": pyarrow.ListArray.from_arrays([0, 1], moments),
        "struct": pyarrow.StructArray.from_arrays([moments], ["at"]),
        "map": pyarrow.MapArray.from_arrays([0, 1], ["at"], moments),
    }
    return pyarrow.table(columns)


def check_moments(path, spelled: str) -> None:
    [chunk] = cut(path)
    [row] = parse_rows(chunk, AnnotateSettings(), spacy.blank("en").vocab, 100)
    assert row.columns == {
        "text": "a",
        "alone": spelled,
        "list": [spelled],
        "struct": {"at": spelled},
        "map": [{"key": "at", "value": spelled}],
    }


def test_years_that_python_does_not_know(tmp_path):
    parquet.write_table(make_moments(569_000_000_000_000, "ms"), tmp_path / "a.parquet")
    check_moments(tmp_path / "a.parquet", "20000-11-22 03:33:20.000")


@pytest.mark.process
def test_nanoseconds_need_no_pandas(tmp_path):
    parquet.write_table(make_moments(1_000_000_001, "ns"), tmp_path / "a.parquet")
    (tmp_path / "check.py").write_text(
        f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}

class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ImportError(name)

sys.meta_path.insert(0, NoPandas())
from test_table import check_moments
from pathlib import Path
check_moments(Path({str(tmp_path / "a.parquet")!r}), "1970-01-01 00:00:01.000000001")
"""
    )
    run_python(tmp_path / "check.py", cwd=tmp_path)


def test_arrow_files_are_read_as_parquet(tmp_path):
    table = pyarrow.table({"text": TEXTS, "id": range(1000)})
    with pyarrow.ipc.new_stream(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    chunks = cut(tmp_path / "a.arrow", shard_rows=200)
    rows = [row for chunk in chunks for row in parse_rows(chunk, AnnotateSettings(), spacy.blank("en").vocab, 100)]
    assert [(row.line, row.text, row.columns["id"]) for row in rows] == [(n + 1, TEXTS[n], n) for n in range(1000)]
    (tmp_path / "b.arrow").write_bytes(b"no table")
    [chunk] = cut(tmp_path / "b.arrow")
    assert "the file is no Arrow file" in chunk.problems[0].reason
