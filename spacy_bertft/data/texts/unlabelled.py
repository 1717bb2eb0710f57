"""JSONL and text files → texts that nobody has labelled yet, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.data.lines import check_is_file, read_lines
from spacy_bertft.data.texts.jsonl import read_objects
from spacy_bertft.data.texts.rows import RowTally
from spacy_bertft.errors import SettingError

_ADVICE = "Pass --text-column with the name of a field."


@dataclass(frozen=True)
class UnlabelledText:
    """A text, and what else stands beside it.

    Attributes:
        line: Line number, from 1.
        text: The text, exactly.
        meta: The other fields of the line; those of a field `meta` that holds an object are taken out of it.
    """

    line: int
    text: str
    meta: Mapping[str, object]


def check_unlabelled(path: Path) -> None:
    """Check that `read_unlabelled` can read a file, as far as its name tells.

    Raises:
        DataError: There is no such file.
        SettingError: Its name ends neither in `.jsonl` nor in `.txt`.
    """
    check_is_file(path)
    if path.suffix.lower() not in (".jsonl", ".txt"):
        raise SettingError("texts", str(path), "a name that ends in .jsonl, or in .txt for a text on each line")


def read_unlabelled(path: Path, text_column: str = "text", tally: RowTally | None = None) -> Iterator[UnlabelledText]:
    """Read the texts of a file; those that are empty or nothing but whitespace are left out.

    Args:
        path: A `.jsonl` file with an object on each line, or a `.txt` file with a text on each line.
        text_column: The field of the texts.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line is not UTF-8 or not a JSON object, or it lacks a text.
    """
    tally = RowTally() if tally is None else tally
    is_plain = path.suffix.lower() == ".txt"
    for text in _read_plain(path, tally) if is_plain else _read_fields(path, text_column, tally):
        if text.text.strip():
            yield text
        else:
            tally.n_empty_texts += 1


def _read_plain(path: Path, tally: RowTally) -> Iterator[UnlabelledText]:
    for number, line in read_lines(path, tally):
        if line.strip():
            yield UnlabelledText(number, line, {})
        else:
            tally.n_empty_lines += 1


def _read_fields(path: Path, text_column: str, tally: RowTally) -> Iterator[UnlabelledText]:
    for fields in read_objects(path, tally, _ADVICE):
        others = {name: value for name, value in fields.values.items() if name != text_column}
        meta = others.get("meta")
        if isinstance(meta, dict):
            others = {**meta, **{name: value for name, value in others.items() if name != "meta"}}
        yield UnlabelledText(fields.number, fields.get_text(text_column), others)
