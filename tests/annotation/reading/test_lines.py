from __future__ import annotations

import gzip
import random

import pytest
from row_files import compress

from spacy_bertft.annotation.chunks import Problem, cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.data import rows as reader

# Words that hardly shrink.
TEXTS = [f"{number} {random.Random(number).getrandbits(400):x}".encode() for number in range(4000)]


def read(path, content: bytes, **settings) -> tuple[list[bytes], list[Problem]]:
    path.write_bytes(content)
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, AnnotateSettings(**settings)))
    assert sum(chunk.weight for chunk in chunks) == len(content)
    rows = [row.encode() for chunk in chunks for _, row in chunk.rows]
    return rows, [problem for chunk in chunks for problem in chunk.problems]


def test_a_line_ends_at_its_end_only(tmp_path):
    rows, problems = read(tmp_path / "a.txt", "\ufeffa\u2028b\r\n\r\n \x85c\n\ufeffd\n\ufeff e".encode())
    assert [row.decode() for row in rows] == ["a\u2028b", " \x85c", "d", "\ufeff e"]
    assert not problems


def test_a_long_line_is_told_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 1000)
    rows, [problem] = read(tmp_path / "a.txt", b"a\n" + b"x" * 3_000_000 + b"\n" + b"y" * 999 + b"\nb")
    assert rows == [b"a", b"y" * 999, b"b"]
    assert problem == Problem(2, "the line is longer than 1,000 bytes. Expected shorter lines; is this a binary file?")


def test_a_long_line_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 10)
    assert read(tmp_path / "a.txt", b"a\n" + b"x" * 11)[1][0].line == 2


@pytest.mark.parametrize("left", [0.9, 0.5, 0.001])
def test_of_a_truncated_gzip_file_what_was_good_is_kept(tmp_path, left):
    content = gzip.compress(b"\n".join(TEXTS))
    rows, [problem] = read(tmp_path / "a.txt.gz", content[: int(left * len(content))], shard_rows=700)
    assert rows == TEXTS[: len(rows)]
    # Only what the decompressor has not given yet is lost.
    assert len(rows) >= (left - 0.1) * len(TEXTS)
    assert problem.line == len(rows) + 1
    assert problem.reason.startswith("the file cannot be read from here on (Compressed file ended before")
    assert problem.reason.endswith("Expected a whole file.")


def test_a_gzip_file_that_is_changed_on_the_way(tmp_path):
    content = bytearray(gzip.compress(b"\n".join(TEXTS)))
    content[-6] ^= 1  # its checksum
    rows, [problem] = read(tmp_path / "a.txt.gz", bytes(content))
    assert rows[:-1] == TEXTS[: len(rows) - 1]
    assert len(rows) >= len(TEXTS) - 1
    assert "CRC check failed" in problem.reason


@pytest.mark.parametrize("left", [0.9, 0.5, 0.001])
def test_of_a_truncated_zstd_file_what_was_good_is_kept(tmp_path, left):
    pytest.importorskip("pyarrow")
    content = b"".join(
        compress(b"\n".join(TEXTS[start : start + 200]) + b"\n", ".zst") for start in range(0, 4000, 200)
    )
    rows, [problem] = read(tmp_path / "a.txt.zst", content[: int(left * len(content))], shard_rows=700)
    assert rows == TEXTS[: len(rows)]
    # A frame that is not whole is lost, and what was read with it.
    assert len(rows) >= (left - 0.1) * len(TEXTS)
    assert problem.line == len(rows) + 1
    assert problem.reason.startswith("the file cannot be read from here on (")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_as_its_name_says(tmp_path, suffix):
    if suffix == ".zst":
        pytest.importorskip("pyarrow")
    rows, [problem] = read(tmp_path / f"a.jsonl{suffix}", b'{"text": "a"}\n')
    assert not rows
    assert problem.line == 1


def test_a_file_of_nothing(tmp_path):
    assert read(tmp_path / "a.txt", b"") == ([], [])
    assert read(tmp_path / "a.txt", b"\xef\xbb\xbf\n\n") == ([], [])


def test_carriage_returns_end_texts(tmp_path):
    rows, problems = read(tmp_path / "a.txt", b"a\rb\r\r\nc\r")
    assert rows == [b"a", b"b", b"c"]
    assert not problems
