"""How files of labelled texts are to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.files import Options
from spacy_bertft.data.rows import Layout, read_label_names
from spacy_bertft.errors import SettingError

# What texts with labels are stored under: as one class, as in `doc.cats`, or as a list.
_LABEL_FIELDS = ("label", "cats", "labels")
# Settings that leave no meaning to others.
_OF_NAMES = ("label_separator", "label_names")
_OF_LABELS = (*_OF_NAMES, "label_column", "first_label", "choice_columns")
_ALONE = (
    ("choice_columns", "the label is a number", _OF_NAMES),
    ("label_columns", "each is a label", _OF_LABELS),
    ("number_columns", "they have no labels", (*_OF_LABELS, "label_columns")),
)


@dataclass(kw_only=True)
class TextFields(Options):
    """Which fields of a row hold a text and its labels.

    Args:
        text_column: The column or field of the texts: its name or, in CSV and TSV, its number, from 1.
        label_column: The column or field of the labels or spans, likewise; by default, of labels, label, cats or
            labels, and of spans the first of spans, entities, ents, label and labels. Several columns of labels, such
            as topic,mood, give a text the labels of all of them. Of WebAnno, the layer or its feature.
    """

    text_column: str = "text"
    label_column: str | None = None


@dataclass(kw_only=True)
class TextOptions(TextFields, Layout):
    """How files of labelled texts are read.

    Args:
        label_columns: Columns or fields that are a label each, such as rude,threat, with a value from 0 to 1; an empty
            one and -1 are not known. 3=rude gives a column the name of its label.
        number_columns: For bert_regressor: the columns or fields of numbers instead of labels, such as score or
            year,length. 5=similarity gives a column a name in `doc.cats`. An empty cell is a number that is not known.
        choice_columns: For bert_multiple_choice: the columns or fields of the endings, such as ending0,ending1; or, in
            JSONL, a field that lists them. The label is the number of the right one, from 0; -1 or an empty one says
            that it is not known.
        second_text_column: The column or field of the second texts, where texts come in pairs. Of choices, what every
            ending begins with.
        label_separator: What separates the labels of a text, such as a comma, if texts may have several or none. A
            list or an object of labels in JSONL needs none.
        label_names: A file of label names, one per line, or names, where the data have numbers for them: the first one
            names 0.
        first_label: The number of the first name or ending, 0 or 1; by default 0, which of names then has to occur:
            otherwise the numbers may start at 1, and each label would be read as its neighbour.

    Attributes:
        columns: Columns by the name of the label or number that they hold, if these have columns each.
        endings: The columns of endings.
        names: The names of labels that are numbers.
        first: The number of the first of these, or of the first ending.

    Raises:
        SettingError: A value is not among the choices, two columns are one, there is a first label without names, or a
            setting contradicts another one.
        DataError: There is no such file of names.
    """

    label_columns: Mapping[str, str] | str | None = None
    number_columns: Mapping[str, str] | str | None = None
    choice_columns: Sequence[str] | str | None = None
    second_text_column: str | None = None
    label_separator: str | None = None
    label_names: Path | str | Sequence[str] | None = None
    first_label: int | None = None

    def __post_init__(self) -> None:
        """Check the settings, and parse those of several columns."""
        super().__post_init__()
        for setting, reason, others in _ALONE:
            for other in others if getattr(self, setting) is not None else ():
                if getattr(self, other) is not None:
                    raise SettingError(other, getattr(self, other), f"none with {setting}: {reason}")
        setting = "number_columns" if self.label_columns is None else "label_columns"
        self.columns = parse_columns(setting, getattr(self, setting))
        endings = self.choice_columns or ()
        self.endings = tuple(endings.split(",") if isinstance(endings, str) else endings)
        self.names = read_label_names(self.label_names)
        self.first = self.first_label or 0
        if self.label_separator is not None and not self.label_separator.strip(" "):
            raise SettingError("label_separator", self.label_separator, "what separates labels, such as a comma")
        if self.first_label not in (None, 0, 1):
            raise SettingError("first_label", self.first_label, "0 or 1, the number of the first name in --label-names")
        if self.first_label is not None and not (self.names or self.endings):
            expected = "--label-names with it: a file of names for the numbers"
            raise SettingError("first_label", self.first_label, expected)
        self._check_columns()

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

        located = copy(self)
        located.text_column = find(self.text_column)
        located.label_column = self.label_column and find(self.label_column)
        located.columns = {name: find(column) for name, column in self.columns.items()}
        located.endings = tuple(map(find, self.endings))
        located.second_text_column = self.second_text_column and find(self.second_text_column)
        located._check_columns()
        return located

    def _check_columns(self) -> None:
        columns = {
            "text_column": self.text_column,
            "label_column": None if self.columns else self.label_column or "label",
            **{f"the column of {name}": column for name, column in self.columns.items()},
            "second_text_column": self.second_text_column,
            **{f"choice_columns: {number}": column for number, column in enumerate(self.endings)},
        }
        settings: dict[str, str] = {}
        for setting, column in columns.items():
            if column is not None and settings.setdefault(column, setting) != setting:
                raise SettingError(setting, column, f"another column than {settings[column]}")


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
