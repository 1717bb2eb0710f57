"""How column files are to be read: the choices, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.tags import Scheme, parse_scheme

Orphans = Literal["error", "repair"]
Kind = Literal["ents", "tags"]

_ORPHANS: tuple[Orphans, ...] = ("error", "repair")
_KINDS: tuple[Kind, ...] = ("ents", "tags")


@dataclass(frozen=True)
class ColumnOptions:
    """How column files are to be read.

    Attributes:
        scheme: The tag scheme; None to guess it from all files together.
        tag_column: The column of the tags: number from 1, name, `first` or `last`; None to find it in each file.
        word_column: The same of the words.
        orphans: What to do with a tag that may not stand where it stands: refuse the file, or read it as
            conlleval does.
        kind: `ents` reads spans of tokens, `tags` takes the column as it is, one tag per token.
    """

    scheme: Scheme | None = None
    tag_column: str | None = None
    orphans: Orphans = "error"
    kind: Kind = "ents"
    word_column: str | None = None


def parse_options(
    scheme: str | None = None,
    tag_column: str | int | None = None,
    orphans: str = "error",
    kind: str = "ents",
    word_column: str | int | None = None,
) -> ColumnOptions:
    """Check the options as they come from a command line or a config.

    Raises:
        SettingError: A value is not among the choices.
    """
    return ColumnOptions(
        scheme=None if scheme is None else parse_scheme(scheme),
        tag_column=None if tag_column is None else str(tag_column),
        orphans=parse_choice("orphans", orphans, _ORPHANS),
        kind=parse_choice("kind", kind, _KINDS),
        word_column=None if word_column is None else str(word_column),
    )
