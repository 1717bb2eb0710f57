from __future__ import annotations

import pytest

from spacy_bertft.data.columns.layout import ColumnOptions, parse_options
from spacy_bertft.errors import SettingError


def test_defaults_and_choices() -> None:
    assert parse_options() == ColumnOptions()
    assert parse_options("BILOU", "first", "repair", "tags") == ColumnOptions("biluo", "first", "repair", "tags")
    # A config has numbers, a command line strings.
    assert parse_options(tag_column=3, word_column="NAME") == ColumnOptions(tag_column="3", word_column="NAME")


@pytest.mark.parametrize("name", ["scheme", "orphans", "kind"])
def test_unknown_choices_are_named(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_options(**{name: "other"})
    assert (caught.value.name, caught.value.value) == (name, "other")
