"""How column files are read: the options, the names of columns, and the layout of a file.

What the lines are:

- A line of blanks only ends a sentence.
- `-DOCSTART-`, alone or followed by other columns, starts a document.
- Where a column numbers the rows, as in CoNLL-U, rows that are numbered `2-3` or `1.1` are not tokens.
- A line that starts a sentence with `#` and a blank or tab is a comment, unless it reads as a token: the right number
  of columns, and a tag in the column of the tags. So `# id = 7` and `# id 7<TAB>domain=en` are comments, while `# O`
  and `#<TAB>O` are words. A tab and then a wrong tag, or one column too many, is an error. Where the first column
  numbers the rows, it is simpler: a line that starts with `#` has no number.
- A header line names the columns.
- Everything else is a token and has to read as one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.files import Options
from spacy_bertft.data.rows import read_label_names
from spacy_bertft.tags.grammar import SchemeName, parse_tag_scheme

Orphans = Literal["error", "repair"]
ColumnKind = Literal["ents", "tags", "spans"]


@dataclass(kw_only=True)
class ColumnOptions(Options):
    """How files of words and tags are read.

    Args:
        scheme: How tags spell entities: bio, iob1, biluo or bioes, or bare for labels without a prefix, of which those
            of adjacent words are one entity; by default guessed from all files together.
        tag_column: The column of the tags: its number, from 1, its name in a header line, in `# global.columns` or
            in CoNLL-U (such as XPOS instead of UPOS), first or last; by default found in each file. Of spans, several
            columns separated by commas, such as 3,4; by default all that have entity tags.
        word_column: The column of the words, likewise (such as FORM in CoNLL-U); by default found in each file.
        orphans: What to do with tags in invalid places, such as I-PER after O: error, or repair, as conlleval does.
        kind: What to read: ents (entities), tags (such as parts of speech) or spans (which may overlap, from several
            columns).
        label_names: A file of names, one per line, or names, for tags that are numbers; the first one names 0.
        fix: Correct what has one right answer: remove the language in front of every word, as in de:Haus.

    Raises:
        SettingError: A value is not among the choices.
        DataError: There is no such file of names.
    """

    scheme: SchemeName | Literal["bare"] | None = None
    tag_column: str | int | None = None
    word_column: str | int | None = None
    orphans: Orphans = "error"
    kind: ColumnKind = "ents"
    label_names: Path | str | Sequence[str] | None = None
    fix: bool = False

    def __post_init__(self) -> None:
        """Check the choices."""
        super().__post_init__()
        if self.scheme is not None:
            parse_tag_scheme(self.scheme)
        parse_choice("orphans", self.orphans, get_args(Orphans))
        parse_choice("kind", self.kind, get_args(ColumnKind))
        self.names = read_label_names(self.label_names)


CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

# Of several names that a file has, the first one counts. UPOS precedes XPOS, which many treebanks leave empty.
WORD_NAMES = ("form", "word", "words", "token", "tokens")
TAG_NAMES = {
    "ents": ("ner", "ner_tag", "ner_tags", "entity", "tag", "tags", "label", "labels"),
    "spans": (),
    "tags": ("upos", "pos", "pos_tag", "pos_tags", "xpos", "tag", "tags", "label", "labels"),
}


def is_header(cells: Sequence[str]) -> bool:
    """Return whether the cells of a line name a column of words and one of tags, as no token does."""
    tags = find_column(cells, {*TAG_NAMES["ents"], *TAG_NAMES["tags"]})
    return tags is not None and find_column(cells, WORD_NAMES) is not None


def find_column(names: Sequence[str], wanted: Collection[str]) -> int | None:
    """Find the column that has one of some names, the first ones preferred."""
    folded = [name.casefold() for name in names]
    return next((folded.index(name) for name in wanted if name in folded), None)


BLANKS = " \t"
_RUN_OF_BLANKS = re.compile(r"[ \t]+")
_TAG = re.compile(r"O|[BILUES]-.+")
_MARK = "-DOCSTART-"
_DOCUMENT_START = re.compile(rf"{_MARK}(?:[ \t]|$)")
_OTHER_NUMBER = re.compile(r"[0-9]+[-.][0-9]+")


@dataclass(frozen=True)
class ColumnLayout:
    """Which columns the lines of a file have. Columns are counted from 0 here, and from 1 wherever a user sees them.

    Attributes:
        is_tabbed: Whether single tabs separate the columns; otherwise runs of blanks and tabs do.
        n_columns: How many columns every line has.
        word_column: Which of them holds the words.
        tag_column: Which of them holds the tags.
        number_column: Which of them numbers the rows of each sentence, if one does.
        kind: What counts as a tag.
        names: The names of the columns, where the file has them.
        header: The cells of the line that names the columns; empty where there is none.
        known_tags: Tags without a prefix that the file has; empty where they are not known.
        other_tag_columns: Columns that hold entity tags too; of spans, those of the inner layers.
        table: How the file is opened, if it is no column file.
        encoding: How the file is encoded, if not in UTF-8.
        word_prefix: What every word begins with, if that is a language.
    """

    is_tabbed: bool
    n_columns: int
    word_column: int
    tag_column: int
    number_column: int | None = None
    kind: str = "ents"
    names: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    known_tags: frozenset[str] = frozenset()
    other_tag_columns: tuple[int, ...] = ()
    table: ColumnOptions | None = None
    word_prefix: str = ""
    encoding: str | None = None

    def split(self, line: str) -> list[str]:
        """Split a line into its columns, without the blanks around each. Tabs after the last column are no column."""
        columns = split_line(line, is_tabbed=self.is_tabbed)
        while len(columns) > self.n_columns and not columns[-1]:
            columns.pop()
        return columns

    def is_document_start(self, line: str) -> bool:
        """Return whether the line separates two documents."""
        if _MARK not in line:
            return False
        return may_start_document(line) or self.split(line)[self.word_column : self.word_column + 1] == [_MARK]

    def is_comment(self, line: str) -> bool:
        """Return whether the line is a comment, given that it opens a sentence."""
        if self.number_column == 0:
            return line.startswith("#")
        if not line.startswith(("# ", "#\t")):
            return False
        columns = self.split(line)
        if len(columns) == self.n_columns:
            word, tag = columns[self.word_column], columns[self.tag_column]
            # Treebanks tag the word `#` with itself.
            is_known = tag in {*self.known_tags, "#"} if self.known_tags else is_tag(tag, self.kind)
            if is_known or (self.is_tabbed and word == "#"):
                return False
        return not any(is_tag(cell.strip(" "), "ents") for cell in line.split("\t")[1:])

    def describe(self) -> str:
        """Describe in which columns words and tags are."""
        tags = (self.tag_column, *(self.other_tag_columns if self.kind == "spans" else ()))
        found = f"words in {self._name(self.word_column)}, tags in {' and '.join(map(self._name, tags))}"
        found += f" of {self.n_columns}"
        if self.word_prefix:
            found += f", every word with {self.word_prefix!r} in front (--fix removes it)"
        if not self.other_tag_columns or self.kind == "spans":
            return found
        others = ", ".join(self._name(column) for column in self.other_tag_columns)
        return f"{found} (--tag-column takes another one; also tags: {others})"

    def _name(self, column: int) -> str:
        return f"column {column + 1}" + (f" ({self.names[column]})" if self.names else "")


def split_line(line: str, *, is_tabbed: bool) -> list[str]:
    """Split a line into columns.

    Only tabs or ASCII blanks separate columns: a no-break space belongs to its word, and `str.split` without an
    argument would cut there.
    """
    if is_tabbed:
        return [column.strip(" ") for column in line.split("\t")]
    return _RUN_OF_BLANKS.split(line.strip(BLANKS))


def is_tag(text: str, kind: str) -> bool:
    """Return whether a text looks like a tag; any text does where tags are plain."""
    return kind == "tags" or _TAG.fullmatch(text) is not None


def is_no_token(number: str) -> bool:
    """Return whether the number of a row is that of a range, such as `2-3`, or of an empty node, such as `1.1`."""
    return _OTHER_NUMBER.fullmatch(number) is not None


def may_start_document(line: str) -> bool:
    """Return whether a line starts with the mark of a document, whatever the layout."""
    return _DOCUMENT_START.match(line) is not None
