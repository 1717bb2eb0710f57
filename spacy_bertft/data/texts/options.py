"""How files of labelled texts are to be read: the choices, checked once at the door."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.lines import read_lines
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

TextFormat = Literal["csv", "tsv", "jsonl"]

_FORMATS: tuple[TextFormat, ...] = ("csv", "tsv", "jsonl")

# What texts with labels are stored under: as one class, as in `doc.cats`, or as a list.
_LABEL_FIELDS = ("label", "cats", "labels")


@dataclass(frozen=True)
class TextOptions:
    """How files of labelled texts are to be read.

    Attributes:
        file_format: `csv`, `tsv` or `jsonl`; None to go by the name of each file.
        text_column: Name of the column or field of the texts. In CSV and TSV also its number, from 1.
        label_column: The same of the labels; None for `label` or, in a line of JSONL without it, `cats` or `labels`.
        second_text_column: The same of the second texts; None where texts are single.
        has_header: Whether the first row of a CSV or TSV file names the columns.
        is_quoted: Whether double quotes in CSV and TSV files may enclose a cell; otherwise they are text.
        label_separator: What stands between the labels of a text; None where each text has exactly one.
        label_names: The names of labels that are numbers; empty if labels are names.
        first_label: The number of the first of them; None for 0, which then has to occur.
    """

    file_format: TextFormat | None = None
    text_column: str = "text"
    label_column: str | None = None
    second_text_column: str | None = None
    has_header: bool = True
    is_quoted: bool = True
    label_separator: str | None = None
    label_names: tuple[str, ...] = ()
    first_label: int | None = None

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
        """The fields of JSONL files that may hold labels; of a line, the first that is there counts."""
        if self.label_column is not None:
            return [self.label_column]
        return [field for field in _LABEL_FIELDS if field not in (self.text_column, self.second_text_column)]

    def get_format(self, path: Path) -> TextFormat:
        """Tell the format of a file.

        Raises:
            SettingError: No format was given, and the name of the file does not tell.
        """
        suffix = path.suffix.lower().removeprefix(".")
        if self.file_format is None and suffix not in _FORMATS:
            expected = f"one of {', '.join(_FORMATS)}, since the name of {path} does not tell: pass --format"
            raise SettingError("file_format", None, expected)
        return self.file_format or parse_choice("file_format", suffix, _FORMATS)


def parse_text_options(
    file_format: str | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    second_text_column: str | None = None,
    header: bool | None = None,
    quoting: bool | None = None,
    label_separator: str | None = None,
    label_names: Path | str | None = None,
    first_label: int | None = None,
) -> TextOptions:
    """Check the options as they come from a command line.

    Raises:
        SettingError: A value is not among the choices, two columns are one, or there is a first label without names.
        DataError: `label_names` is a file that does not exist or names nothing.
        ColumnFormatError: A line of it is empty or repeats another.
    """
    options = TextOptions(
        file_format=None if file_format is None else parse_choice("file_format", file_format, _FORMATS),
        text_column=text_column,
        label_column=label_column,
        second_text_column=second_text_column,
        has_header=header is not False,
        is_quoted=quoting is not False,
        label_separator=label_separator,
        label_names=() if label_names is None else read_label_names(Path(label_names)),
        first_label=first_label,
    )
    if label_separator is not None and not label_separator.strip(" "):
        raise SettingError("label_separator", label_separator, "what stands between labels, such as a comma")
    if first_label not in (None, 0, 1):
        raise SettingError("first_label", first_label, "0 or 1, the number of the first name in --label-names")
    if first_label is not None and not options.label_names:
        raise SettingError("first_label", first_label, "--label-names with it: a file of names for the numbers")
    check_columns_differ(options.columns, options.columns)
    return options


def check_columns_differ(columns: Mapping[str, str], places: Mapping[str, Hashable]) -> None:
    """Check that no two settings mean the same column.

    Args:
        columns: What was given, by setting.
        places: What it means, by setting.

    Raises:
        SettingError: Two mean the same.
    """
    settings: dict[Hashable, str] = {}
    for setting, place in places.items():
        other = settings.setdefault(place, setting)
        if other != setting:
            raise SettingError(setting, columns[setting], f"another column than {other}")


def read_label_names(path: Path) -> tuple[str, ...]:
    """Read the names of labels, one a line, the first one for the number 0.

    Raises:
        DataError: The file does not exist or names nothing.
        ColumnFormatError: A line is empty, though others follow, or repeats a name.
    """
    lines = [line.strip() for _, line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: the file names no label. Expected one name a line.")
    for number, name in enumerate(lines, start=1):
        if not name or name in lines[: number - 1]:
            problem = f"the name {name!r} stands there twice" if name else "the line is empty"
            raise ColumnFormatError(path, number, problem, "Expected one name a line, each another one.")
    return tuple(lines)
