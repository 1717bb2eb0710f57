from __future__ import annotations

from pathlib import Path

import pytest

from spacy_bertft.data.columns.gold import GoldReader
from spacy_bertft.data.columns.layout import ColumnOptions
from spacy_bertft.errors import SettingError

ASSETS = Path(__file__).parents[3] / "assets" / "movie"


def test_defaults_and_choices() -> None:
    # A config has numbers, a command line strings.
    assert (
        ColumnOptions(scheme="BILOU", tag_column=3, orphans="repair", kind="tags", word_column="NAME").tag_column == 3
    )
    assert GoldReader([ASSETS / "train.bio"], ColumnOptions(scheme="BIO")).scheme == "bio"


@pytest.mark.parametrize("name", ["scheme", "orphans", "kind"])
def test_unknown_choices_are_named(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        ColumnOptions(**{name: "other"})
    assert (caught.value.name, caught.value.value) == (name, "other")
