from __future__ import annotations

import pytest

from spacy_bertft.corpus.columns.options import ColumnOptions, parse_options
from spacy_bertft.errors import SettingError


def test_defaults_and_choices() -> None:
    assert parse_options() == ColumnOptions()
    assert parse_options("BILOU", "first", "repair", "tags") == ColumnOptions("biluo", "first", "repair", "tags")


@pytest.mark.parametrize("name", ["scheme", "tag_column", "orphans", "kind"])
def test_unknown_choices_are_named(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_options(**{name: "other"})
    assert (caught.value.name, caught.value.value) == (name, "other")
