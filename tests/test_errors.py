"""Errors can be read, whatever they quote."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.errors import ColumnFormatError, SettingError, TagError

LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "error",
    [
        ColumnFormatError("a.bio", 7, f"{LONG!r} has 1 column", "Expected 2 columns."),
        TagError(7, LONG, f"follows {LONG!r}", f"B-{LONG}"),
        SettingError("name", LONG, "a shorter one"),
    ],
)
def test_a_long_quotation_is_cut(error: Exception) -> None:
    assert len(str(error)) < 1000
    assert "xxx … xxx" in str(error)


def test_what_comes_before_and_after_a_quotation_is_kept() -> None:
    error = ColumnFormatError("a.bio", 7, f"{LONG!r} has 1 column", "Expected 2 columns.")
    assert str(error).startswith("a.bio, line 7: 'xxx")
    assert str(error).endswith("xxx' has 1 column. Expected 2 columns.")
    assert (error.path, error.line, error.expected) == (Path("a.bio"), 7, "Expected 2 columns.")
