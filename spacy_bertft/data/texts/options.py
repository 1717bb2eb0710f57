"""How files of labelled texts are to be read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.files import find_format
from spacy_bertft.data.rows import read_lines
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

TextFormat = Literal["csv", "tsv", "jsonl"]

_FORMATS: tuple[TextFormat, ...] = ("csv", "tsv", "jsonl")

# What texts with labels are stored under: as one class, as in `doc.cats`, or as a list.
_LABEL_FIELDS = ("label", "cats", "labels")


@dataclass(frozen=True)
class TextOptions:
    """How files of labelled texts are to be read; see `convert_texts`.

    Raises:
        SettingError: A value is not among the choices, two columns are one, or there is a first label without names.
    """

    file_format: str | None = None
    text_column: str = "text"
    label_column: str | None = None
    second_text_column: str | None = None
    header: bool = True
    quoting: bool = True
    label_separator: str | None = None
    label_names: tuple[str, ...] = ()
    first_label: int | None = None

    def __post_init__(self) -> None:
        if self.file_format is not None:
            parse_choice("file_format", self.file_format, _FORMATS)
        if self.label_separator is not None and not self.label_separator.strip(" "):
            raise SettingError("label_separator", self.label_separator, "what separates labels, such as a comma")
        if self.first_label not in (None, 0, 1):
            raise SettingError("first_label", self.first_label, "0 or 1, the number of the first name in --label-names")
        if self.first_label is not None and not self.label_names:
            raise SettingError(
                "first_label", self.first_label, "--label-names with it: a file of names for the numbers"
            )
        check_columns_differ(self.columns, self.columns)

    @property
    def columns(self) -> dict[str, str]:
        """The columns of CSV and TSV files, by the name of their setting."""
        columns = {
            "text_column": self.text_column,
            "label_column": self.label_column or "label",
            "second_text_column": self.second_text_column,
        }
        return {setting: column for setting, column in columns.items() if column is not None}

    @property
    def label_fields(self) -> list[str]:
        """The fields of JSONL files that may hold labels; the first of them that a line has counts."""
        if self.label_column is not None:
            return [self.label_column]
        return [field for field in _LABEL_FIELDS if field not in (self.text_column, self.second_text_column)]

    def get_format(self, path: Path) -> TextFormat:
        """Return the format of a file.

        Raises:
            SettingError: No format was given, and the name of the file does not tell.
        """
        found = self.file_format or find_format(path)[0]
        if found not in _FORMATS:
            expected = f"one of {', '.join(_FORMATS)}, since the name of {path} does not tell: pass --format"
            raise SettingError("file_format", None, expected)
        return parse_choice("file_format", found, _FORMATS)


def check_columns_differ(columns: Mapping[str, str], places: Mapping[str, Hashable]) -> None:
    """Check that no two settings mean the same column.

    Args:
        columns: The name or number that was given, by setting.
        places: The column that it means, by setting.

    Raises:
        SettingError: Two mean the same.
    """
    settings: dict[Hashable, str] = {}
    for setting, place in places.items():
        other = settings.setdefault(place, setting)
        if other != setting:
            raise SettingError(setting, columns[setting], f"another column than {other}")


def read_label_names(path: Path) -> tuple[str, ...]:
    """Read the names of labels, one per line, the first one for the number 0.

    Raises:
        DataError: The file does not exist or names nothing.
        ColumnFormatError: A line is empty, though others follow, or repeats a name.
    """
    lines = [line.strip() for _, line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: the file names no label. Expected one name per line.")
    for number, name in enumerate(lines, start=1):
        if not name or name in lines[: number - 1]:
            problem = f"the name {name!r} occurs twice" if name else "the line is empty"
            raise ColumnFormatError(path, number, problem, "Expected one name per line, each once.")
    return tuple(lines)
