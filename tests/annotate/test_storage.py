from __future__ import annotations

import fsspec
import pytest
from row_files import compress, format_jsonl

from spacy_bertft.annotate.annotate import annotate
from spacy_bertft.annotate.storage import OutputDir
from spacy_bertft.errors import SettingError

ROWS = [{"text": f"film {number}"} for number in range(10)]


@pytest.fixture
def memory():
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture(params=["disk", "memory"])
def output(request, tmp_path, memory):
    return OutputDir(str(tmp_path / "out") if request.param == "disk" else "memory://out")


def write_half(output: OutputDir) -> None:
    with output.replace_when_done("a") as file:
        file.write(b"half")
        raise RuntimeError


def test_a_folder_that_does_not_exist(output):
    assert output.list_names() == []
    assert not output.files.exists("a")
    assert not output.files.isfile("")
    output.remove("a")
    output.remove_temporary()
    assert output.read_all([]) == []


def test_a_file_is_whole_or_not_there(output):
    with pytest.raises(RuntimeError):
        write_half(output)
    assert not output.files.exists("a")
    output.write("a", b"old")
    with pytest.raises(RuntimeError):
        write_half(output)
    assert output.files.cat_file("a") == b"old"
    output.write("a", b"new")
    assert output.files.cat_file("a") == b"new"
    assert output.list_names() == [output.TEMPORARY, "a"]
    output.remove_temporary()
    assert output.list_names() == ["a"]
    output.remove("a")
    assert output.list_names() == []


def test_many_files_at_once(output):
    names = [f"{number:03}" for number in range(30)]
    for name in names:
        output.write(f"{output.TEMPORARY}/{name}", name.encode())
    assert output.list_names(output.TEMPORARY) == names
    paths = [f"{output.TEMPORARY}/{name}" for name in names]
    assert output.read_all(paths) == [name.encode() for name in names]
    assert output.read_all(paths[:1]) == [b"000"]


def test_a_file_in_the_place_of_the_folder(tmp_path, memory):
    (tmp_path / "out").write_text("a")
    memory.pipe("/out", b"a")
    assert OutputDir(str(tmp_path / "out")).files.isfile("")
    assert OutputDir("memory://out").files.isfile("")


def test_a_place_that_cannot_be_reached():
    with pytest.raises(SettingError, match=r"output = 'nowhere://a'\. Expected a path, or a URL that fsspec can open"):
        OutputDir("nowhere://a")


def test_from_memory_to_memory(ruler, memory):
    memory.pipe("/in/a.jsonl", format_jsonl(ROWS))
    memory.pipe("/in/b.jsonl.gz", compress(b"oops\n" + format_jsonl(ROWS), ".gz"))
    report = annotate(ruler, ["memory://in"], "memory://out", shard_rows=4)
    assert (report.n_read, report.n_written, report.n_failed) == (21, 20, 1)
    assert sorted(memory.ls("/out", detail=False)) == [
        *("/out/errors.jsonl", *(f"/out/part-00000-00000{number}.jsonl" for number in range(3))),
        *(f"/out/part-00001-00000{number}.jsonl" for number in range(3)),
        "/out/run.json",
    ]
    assert b'"file": "memory://in/b.jsonl.gz", "line": 1' in memory.cat("/out/errors.jsonl")
    again = annotate(ruler, ["memory://in"], "memory://out", shard_rows=4)
    assert (again.n_read, again.n_written, again.n_failed) == (21, 20, 1)
    # The shards are input, too.
    assert annotate(ruler, ["memory://out/"], "memory://more", prefix="more_").n_written == 20


@pytest.mark.parametrize(
    ("places", "options", "setting"),
    [
        (("memory://in", "memory://out"), {"n_process": 2}, "output"),
        (("memory://in", "memory://out"), {"engine": "ray"}, "inputs"),
        (("in", "memory://out"), {"engine": "ray"}, "output"),
    ],
)
def test_other_processes_do_not_see_the_memory_of_this_one(ruler, memory, places, options, setting):
    memory.pipe("/in/a.jsonl", format_jsonl(ROWS))
    with pytest.raises(SettingError, match="Expected a place that other processes can reach") as caught:
        annotate(ruler, [places[0]], places[1], **options)
    assert caught.value.name == setting


def test_urls_of_files_on_the_disk(ruler, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(format_jsonl(ROWS))
    annotate(ruler, [f"file://{tmp_path}/a.jsonl"], f"file://{tmp_path}/out")
    assert (tmp_path / "out" / "part-00000-000000.jsonl").read_bytes().count(b"\n") == 10
