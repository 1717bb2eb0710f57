from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.errors import DataError, SettingError


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_files_of_a_folder_by_name(tmp_path):
    make(tmp_path, "b.txt", "a/z.csv", "a/b/c.jsonl", "c.txt.gz", "a.txt")
    found = find_inputs([f"{tmp_path}/"])
    names = ["a.txt", "a/b/c.jsonl", "a/z.csv", "b.txt", "c.txt.gz"]
    assert [source.name for source in found.sources] == [f"{tmp_path}/{name}" for name in names]
    assert [source.number for source in found.sources] == list(range(5))
    assert [source.n_bytes for source in found.sources] == [len(name) for name in names]
    assert found.left_out == ()


def test_files_in_the_order_in_which_they_are_given(tmp_path):
    make(tmp_path, "b.txt", "a.txt", "in/d.txt", "in/c.txt")
    given_names = [str(tmp_path / name) for name in ("b.txt", "in", "a.txt")]
    found = [source.name.removeprefix(f"{tmp_path}/") for source in find_inputs(given_names).sources]
    assert found == ["b.txt", "in/c.txt", "in/d.txt", "a.txt"]


def test_what_other_programs_leave_is_passed_over(tmp_path):
    make(tmp_path, "a.txt", "_SUCCESS", ".a.txt", "_tmp/b.txt", "x/.cache/c.txt", "x/_d.jsonl")
    found = find_inputs([str(tmp_path)])
    assert [source.name for source in found.sources] == [f"{tmp_path}/a.txt"]
    assert found.left_out == ()
    # A folder that is given by its name may have any.
    assert len(find_inputs([f"{tmp_path}/_tmp"]).sources) == 1


def test_files_of_other_kinds_in_a_folder_are_told(tmp_path):
    make(tmp_path, "a.txt", "b.pdf", "c", "d.parquet.gz", "e.json", "f.gz")
    found = find_inputs([str(tmp_path)])
    assert len(found.sources) == 1
    assert [name.removeprefix(f"{tmp_path}/") for name in found.left_out] == [
        *("b.pdf", "c", "d.parquet.gz", "e.json", "f.gz")
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", ("jsonl", None)),
        ("a.NDJSON.GZ", ("jsonl", "gzip")),
        ("a.b.csv.zst", ("csv", "zstd")),
        ("a.TSV", ("tsv", None)),
        ("a.txt", ("text", None)),
        ("a.parquet", ("parquet", None)),
        ("a.spacy", ("docbin", None)),
    ],
)
def test_what_a_name_says(tmp_path, name, expected):
    make(tmp_path, name)
    [source] = find_inputs([str(tmp_path / name)]).sources
    assert (source.format, source.compression) == expected


@pytest.mark.parametrize("name", ["a.json", "a", "a.gz", "a.spacy.zst", "a.parquet.gz", "a.txt.bz2"])
def test_a_file_whose_name_says_nothing(tmp_path, name):
    make(tmp_path, name)
    with pytest.raises(SettingError) as caught:
        find_inputs([str(tmp_path / name)])
    assert (caught.value.name, caught.value.value) == ("inputs", str(tmp_path / name))
    assert caught.value.expected.startswith(
        "a name that ends in .jsonl, .ndjson, .csv, .tsv, .txt, .parquet, .arrow, .spacy;"
    )


def test_a_file_that_is_given_twice(tmp_path, monkeypatch):
    make(tmp_path, "in/a.txt")
    monkeypatch.chdir(tmp_path)
    for names in ([f"{tmp_path}/in", "in/a.txt"], ["in/a.txt", "./in/a.txt"], ["in", "in/"]):
        with pytest.raises(SettingError, match="Expected each file once"):
            find_inputs(names)


def test_names_are_kept_and_places_are_absolute(tmp_path, monkeypatch):
    make(tmp_path, "in/a.txt")
    monkeypatch.chdir(tmp_path)
    [source] = find_inputs(["in"]).sources
    assert (source.name, source.url) == ("in/a.txt", f"{tmp_path}/in/a.txt")


def test_nothing_to_annotate(tmp_path):
    make(tmp_path, "in/a.pdf")
    with pytest.raises(DataError, match=r"in: there is no file to annotate\. Expected a name that ends in \.jsonl"):
        find_inputs([f"{tmp_path}/in"])
    with pytest.raises(DataError, match=r"none\.txt: no such file or directory\. Expected texts to annotate"):
        find_inputs([f"{tmp_path}/none.txt"])


@pytest.mark.parametrize("name", ["nowhere://a.txt", "s4://bucket/a.txt"])
def test_a_place_that_cannot_be_reached(name):
    with pytest.raises(SettingError, match=r"inputs = .* Expected a path, or a URL that fsspec can open \("):
        find_inputs([name])


@given(st.sets(st.text("abc_/", min_size=1, max_size=6).filter(lambda name: "//" not in f"/{name}/"), max_size=6))
def test_a_folder_in_memory(names):
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in names:
        memory.pipe(f"/inputs/{name}.txt", name.encode())
    shown = sorted(name for name in names if not any(part.startswith("_") for part in name.split("/")))
    if not shown:
        with pytest.raises(DataError):
            find_inputs(["memory://inputs"])
        return
    found = {source.url: source.n_bytes for source in find_inputs(["memory://inputs"]).sources}
    assert found == {f"memory://inputs/{name}.txt": len(name) for name in shown}
