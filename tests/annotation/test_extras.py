from __future__ import annotations

import sys

import pytest
from row_files import read_shards, write_rows

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.errors import MissingExtraError


@pytest.mark.parametrize(
    ("name", "options", "purpose"),
    [
        ("a.txt", {"output_format": "parquet"}, "Parquet"),
        ("a.parquet", {}, "Parquet"),
        ("a.txt.zst", {}, "zstd"),
    ],
)
def test_without_pyarrow(ruler, tmp_path, monkeypatch, name, options, purpose):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / name).write_bytes(b"a film\n")
    with pytest.raises(MissingExtraError) as caught:
        annotate(ruler, [tmp_path / name], tmp_path / "out", **options)
    assert str(caught.value) == f"{purpose} needs an extra. Install it with: pip install 'spacy-bertft[arrow]'"


def test_what_needs_no_extra(ruler, tmp_path, monkeypatch):
    for name in ("pyarrow", "ray", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    names = ["a.txt", "b.jsonl.gz", "c.csv", "d.tsv", "e.spacy"]
    inputs = [write_rows(tmp_path / name, [{"text": "a film"}]) for name in names]
    annotate(ruler, inputs, tmp_path / "out")
    assert [row["text"] for row in read_shards(tmp_path / "out")] == ["a film"] * 5
    assert annotate(ruler, inputs, tmp_path / "docs", output_format="docbin").n_written == 5


def test_without_ray(ruler, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    write_rows(tmp_path / "a.txt", [{"text": "a film"}])
    with pytest.raises(MissingExtraError) as caught:
        annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out", engine="ray")
    assert str(caught.value) == "The engine ray needs an extra. Install it with: pip install 'spacy-bertft[ray]'"
    # The other engine does the same run.
    assert annotate(ruler, [tmp_path / "a.txt"], tmp_path / "out").n_written == 1
