"""A line of hundreds of megabytes: it is reported with its place, and never held in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from row_files import read_errors, read_shards

from reliability.long_lines import CASES, Case, run_case
from spacy_bertft.data.rows import MAX_LINE_BYTES

pytestmark = pytest.mark.hostile

MEGABYTES = 300
MOST = 2.5 * MAX_LINE_BYTES / 1_000_000  # megabytes: a reader joins what it has read of a line


def find_case(command: str, name: str) -> Case:
    return next(case for case in CASES if (case.command, case.name) == (command, name))


@pytest.mark.parametrize("name", ["a.bio", "a.jsonl"])
def test_convert(tmp_path: Path, name: str) -> None:
    case = find_case("convert", name)
    small = run_case(case, tmp_path, 0)
    (tmp_path / "out.spacy").unlink(missing_ok=True)
    large = run_case(case, tmp_path, MEGABYTES * 1_000_000)
    assert (large.exit_code, large.stderr) == (
        1,
        f"Error: {tmp_path / name}, line {case.line}: the line is longer than 67,108,864 bytes. "
        "Expected shorter lines; is this a binary file?",
    )
    assert not (tmp_path / "out.spacy").exists()
    assert large.peak_mb - small.peak_mb < MOST


@pytest.mark.parametrize("name", ["b.jsonl"])
def test_annotate(tmp_path: Path, name: str) -> None:
    case = find_case("annotate", name)
    small, large = (run_case(case, tmp_path, n_bytes) for n_bytes in (0, MEGABYTES * 1_000_000))
    assert large.exit_code == 0, large.stderr
    output = tmp_path / f"out-{name}-{MEGABYTES * 1_000_000}"
    assert [row["text"] for row in read_shards(output)] == ["a", "b"]
    [error] = read_errors(output)
    assert (error["line"], error["reason"]) == (
        case.line,
        "the line is longer than 67,108,864 bytes. Expected shorter lines; is this a binary file?",
    )
    assert large.peak_mb - small.peak_mb < MOST
