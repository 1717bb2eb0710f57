from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.output import replace_when_done


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replace_when_done(path) as temporary_path:
        temporary_path.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def write_half(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replace_when_done(path) as temporary_path:
        write_half(temporary_path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
