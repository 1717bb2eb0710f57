"""How files of labelled texts are to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.records import Layout
from spacy_bertft.errors import SettingError

# What texts with labels are stored under: as one class, as in `doc.cats`, or as a list.
_LABEL_FIELDS = ("label", "cats", "labels")


@dataclass(frozen=True)
class TextOptions(Layout):
    """How files of labelled texts are to be read; see `convert_texts`.

    Raises:
        SettingError: A value is not among the choices, two columns are one, or there is a first label without names.
    """

    file_format: str | None = None
    text_column: str = "text"
    label_column: str | None = None
    label_columns: Mapping[str, str] = field(default_factory=dict)
    number_columns: Mapping[str, str] = field(default_factory=dict)
    choice_columns: tuple[str, ...] = ()
    second_text_column: str | None = None
    label_separator: str | None = None
    label_names: tuple[str, ...] = ()
    first_label: int | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise SettingError("delimiter", self.delimiter, "the character that separates cells, such as a semicolon")
        if self.label_separator is not None and not self.label_separator.strip(" "):
            raise SettingError("label_separator", self.label_separator, "what separates labels, such as a comma")
        if self.first_label not in (None, 0, 1):
            raise SettingError("first_label", self.first_label, "0 or 1, the number of the first name in --label-names")
        if self.first_label is not None and not (self.label_names or self.choice_columns):
            raise SettingError(
                "first_label", self.first_label, "--label-names with it: a file of names for the numbers"
            )
        columns = {
            "text_column": self.text_column,
            "label_column": None if self.label_columns or self.number_columns else self.label_column or "label",
            **{f"label_columns: {name}": column for name, column in self.label_columns.items()},
            **{f"number_columns: {name}": column for name, column in self.number_columns.items()},
            "second_text_column": self.second_text_column,
            **{f"choice_columns: {number}": column for number, column in enumerate(self.choice_columns)},
        }
        settings: dict[str, str] = {}
        for setting, column in columns.items():
            if column is not None and settings.setdefault(column, setting) != setting:
                raise SettingError(setting, column, f"another column than {settings[column]}")

    @property
    def label_fields(self) -> list[str]:
        """The columns that may hold labels; the first of them that a row has counts."""
        if self.label_column is not None:
            return [self.label_column]
        return [field for field in _LABEL_FIELDS if field not in (self.text_column, self.second_text_column)]

    def locate(self, names: Sequence[str]) -> TextOptions:
        """Replace numbers of columns, from 1, by their names in a file; a name goes before a number.

        Raises:
            SettingError: Two settings mean the same column.
        """

        def find(column: str) -> str:
            number = None if column in names else read_number(column)
            return names[number - 1] if number and number <= len(names) else column

        return replace(
            self,
            text_column=find(self.text_column),
            label_column=self.label_column and find(self.label_column),
            label_columns={name: find(column) for name, column in self.label_columns.items()},
            number_columns={name: find(column) for name, column in self.number_columns.items()},
            choice_columns=tuple(map(find, self.choice_columns)),
            second_text_column=self.second_text_column and find(self.second_text_column),
        )


def parse_columns(setting: str, columns: Mapping[str, str] | str | None) -> dict[str, str]:
    """Parse which columns hold the values of labels, or numbers: columns by the name of what they hold.

    Args:
        setting: Where they were given, for the error.
        columns: Names by column; or columns with commas between them, each perhaps with `=` and a name.

    Raises:
        SettingError: A column has no name, or two have the same one.

    Example:
        >>> parse_columns("number_columns", "year, 5=similarity")
        {'year': 'year', 'similarity': '5'}
    """
    if columns is None:
        return {}
    if isinstance(columns, str):
        parts = [part.partition("=") for part in columns.split(",")]
        pairs = [(column.strip(), name.strip() if equals else column.strip()) for column, equals, name in parts]
    else:
        pairs = list(columns.items())
    names = {name: column for column, name in pairs}
    if len(names) < len(pairs) or not all(name and column for name, column in names.items()):
        raise SettingError(setting, columns, "different columns and names, such as year,5=similarity")
    for name, column in names.items():
        if name == column and read_number(column) is not None:
            raise SettingError(setting, columns, f"a name for column {column} too, such as {column}=similarity")
    return names
