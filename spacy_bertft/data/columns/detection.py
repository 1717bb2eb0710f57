"""A column file → its layout, as far as the options leave it open, found in its first lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from spacy_bertft.data.choices import read_number
from spacy_bertft.data.columns.layout import (
    BLANKS,
    CONLLU,
    TAG_NAMES,
    WORD_NAMES,
    ColumnLayout,
    ColumnOptions,
    find_column,
    is_header,
    is_no_token,
    is_tag,
    may_start_document,
    split_line,
)
from spacy_bertft.data.columns.tables import TABLES, open_table
from spacy_bertft.data.rows import Tally, read_lines
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError, format_count
from spacy_bertft.tags.grammar import are_bare

_SAMPLE_SIZE = 10_000  # tokens
_ADVICE_ON_TEXTS = "labelled texts in CSV, TSV or JSONL are converted with --as cats"
_ENDS = ("first", "last")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*:(?=.)")
_NUMBER = re.compile(r"[0-9]+(?:[-.:_/][0-9]+)*")
_CONLLU_PLUS = re.compile(r"# *global\.columns *= *(.*\S)")
_HEAD = re.compile(r"[0-9]+|_")


class _Row(NamedTuple):
    """A line that is likely to be a token: its number, from 1, that of its sentence, and its columns."""

    number: int
    sentence: int
    columns: list[str]


# The first rows of a file, whether tabs separate their columns, and the names that the file declares for these.
_Sample = tuple[list[_Row], bool, tuple[str, ...]]


def detect_layout(path: Path, options: ColumnOptions) -> ColumnLayout:
    """Find the layout of a file from its first ten thousand tokens.

    The majority decides, so that a malformed line is later reported as itself. A column that counts from 0 or 1 in
    every sentence numbers the rows. The tags are in the column whose values look like `O` or `B-X`; of several, in the
    last one, or in the first one with labels of the last, since nested entities follow the outer ones. Spans are in all
    of them. Plain tags are in the column that has fewer different values, in doubt in the last one. The words are at
    the other end. Names of columns, from CoNLL-U or a header, go before all this.

    Args:
        path: The file.
        options: The kind of the tags, and the columns where they are known.

    Raises:
        DataError: The file holds no token.
        ColumnFormatError: The file has one column only, no column of tags or words, or lacks one of the options.
        SettingError: Words and tags are to be in the same column.
    """
    return _Finder(path, options).find_layout()


def _read_table(path: Path, options: ColumnOptions) -> _Sample:
    names, sentences = open_table(path, options, Tally())
    rows = (_Row(number, place, cells) for place, sentence in enumerate(sentences) for number, cells in sentence)
    return list(islice(rows, _SAMPLE_SIZE)), False, names


def _read_lines(path: Path, encoding: str | None) -> _Sample:
    """Read the lines that may be tokens, without those that start a sentence and may be comments."""
    tokens: list[tuple[int, int, str]] = []
    comments: list[tuple[int, int, str]] = []
    sentence, names = 0, ()
    for number, line in read_lines(path, encoding=encoding):
        if may_start_document(line) or not line.strip(BLANKS):
            sentence += 1
            continue
        if not names and (declared := _CONLLU_PLUS.fullmatch(line)):
            names = tuple(declared[1].split())
        is_comment = line.startswith("# ") and (not tokens or tokens[-1][1] != sentence)
        (comments if is_comment else tokens).append((number, sentence, line))
        if len(tokens) + len(comments) == _SAMPLE_SIZE:
            break
    # A file of nothing but lines with `# ` holds the word `#`.
    lines = tokens or comments
    is_tabbed = 2 * sum("\t" in line for _, _, line in lines) >= len(lines)
    rows = [_Row(number, place, split_line(line, is_tabbed=is_tabbed)) for number, place, line in lines]
    return rows, is_tabbed, names


class _Finder:
    """Finds columns in the first rows of a file.

    Args:
        path: The file.
        options: Where words and tags are, if that is known.
    """

    def __init__(self, path: Path, options: ColumnOptions) -> None:
        self.path, self.options = path, options
        is_table = options.file_format in TABLES
        sample = _read_table(path, options) if is_table else _read_lines(path, options.encoding)
        self.rows, self.is_tabbed, self.names = sample
        if not self.rows:
            raise DataError(f"{path}: the file holds no token. Expected lines of words and tags.")
        first = self.rows[0]
        self.n_columns = _count_columns(self.rows)
        if self.n_columns == 1:
            expected = f"Expected a word and a tag, separated by a tab or by blanks; {_ADVICE_ON_TEXTS}."
            raise self._error(f"the line has one column, {first.columns[0]!r}", expected)
        # Malformed lines are reported when they are read.
        self.rows = [row for row in self.rows if _fits(row.columns, self.n_columns)]
        if not self.names and self._counts_rows(0) and self._has_heads():
            self.names = CONLLU
        self.header: tuple[str, ...] = ()
        if not self.names and self._is_header(first.columns):
            self.names = self.header = tuple(first.columns[: self.n_columns])
            self.rows = [row for row in self.rows if tuple(row.columns[: self.n_columns]) != self.header]
        if not self.rows:
            raise self._error("the line names columns, and no token follows", "Expected words and tags.", first)
        if self.names and len(self.names) != self.n_columns:
            problem = f"the line has {format_count(self.n_columns, 'column')}, but {len(self.names)} names are declared"
            raise self._error(problem, f"Expected {' '.join(self.names)}.")

    def find_layout(self) -> ColumnLayout:
        """Find the columns that are not given, and check all of them."""
        tag_column, word_column = self._find_given("tag_column"), self._find_given("word_column")
        if word_column is not None and word_column == tag_column:
            raise SettingError("word_column", self.options.word_column, "another column than tag_column")
        ends = [column for column in (0, self.n_columns - 1) if column not in (word_column, tag_column)]
        number_column = next(filter(self._counts_rows, ends), None)
        if number_column is not None:
            # The others are comments, ranges and empty nodes.
            self.rows = [row for row in self.rows if read_number(row.columns[number_column]) is not None]
        usable = [column for column in range(self.n_columns) if column not in (number_column, word_column)]
        others: list[int] = []
        if tag_column is None:
            tag_column, others = self._find_tag_column(usable)
        if word_column is None:
            word_column = self._find_word_column(usable, tag_column, number_column)
        tags = self._get_cells(tag_column)
        layout = ColumnLayout(
            is_tabbed=self.is_tabbed,
            n_columns=self.n_columns,
            word_column=word_column,
            tag_column=tag_column,
            number_column=number_column,
            kind=self.options.kind,
            names=self.names,
            header=self.header,
            known_tags=frozenset(tags) if self.options.kind == "tags" or self._is_bare(tags) else frozenset(),
            word_prefix=_find_language(self._get_cells(word_column)),
            encoding=self.options.encoding,
            table=self.options if self.options.file_format in TABLES else None,
            other_tag_columns=tuple(column for column in others if column != word_column),
        )
        self._check_tags(layout, tags)
        return layout

    def _has_heads(self) -> bool:
        """Return whether numbered rows are those of CoNLL-U: ten columns, and the seventh is the number of the head."""
        rows = [row.columns for row in self.rows]
        return 2 * sum(len(row) == len(CONLLU) and _HEAD.fullmatch(row[6]) is not None for row in rows) > len(rows)

    def _is_header(self, cells: Sequence[str]) -> bool:
        """Return whether the first line names the columns: as headers do, or as the options do."""
        given = {self.options.word_column, self.options.tag_column}
        is_asked_for = any(cell in given and cell not in _ENDS and read_number(cell) is None for cell in cells)
        return _fits(cells, self.n_columns) and (is_asked_for or is_header(cells))

    def _find_given(self, setting: str) -> int | None:
        """Find a column that is given as a name, as a number from 1, or as `first` or `last`."""
        given = getattr(self.options, setting)
        places = {"first": 0, "last": self.n_columns - 1}
        places |= {str(number): number - 1 for number in range(1, self.n_columns + 1)}
        places |= {name: place for place, name in enumerate(self.names) if self.names.count(name) == 1}
        if given is None or str(given) in places:
            return places.get(str(given))
        expected = f"Expected --{setting.replace('_', '-')} with a name, or a number from 1 to {self.n_columns}."
        found = ", ".join(repr(name[:40]) for name in self.names or self.rows[0].columns[: self.n_columns])
        raise self._error(f"there is no column {str(given)!r} among {found}", expected)

    def _counts_rows(self, column: int) -> bool:
        """Return whether a column counts from 0 or 1 in each sentence, in most rows that are no comments or ranges."""
        n_counted, n_others = 0, 0
        for _, rows in groupby(self.rows, key=attrgetter("sentence")):
            expected = {"0", "1"}
            for value in (row.columns[column] for row in rows):
                n_counted += value in expected
                n_others += is_no_token(value) or value.startswith("#")
                # After a comment that looks like a row the count starts, after a range such as `2-3` it continues.
                if (number := read_number(value)) is not None:
                    expected = {str(number + 1)}
        return 2 * n_counted > len(self.rows) - n_others

    def _find_tag_column(self, usable: list[int]) -> tuple[int, list[int]]:
        """Find the column of the tags, and the other columns that hold such tags."""
        if not usable:
            expected = "Expected a column of tags next to the words and the numbers of the rows."
            raise self._error(f"the line has {format_count(self.n_columns, 'column')}, and none for tags", expected)
        kind, first, last = self.options.kind, usable[0], usable[-1]
        named = find_column(self.names, TAG_NAMES[kind])
        if kind == "tags":
            n_first, n_last = (len(set(self._get_cells(column))) for column in (first, last))
            return named if named in usable else first if n_first < n_last else last, []
        counts = {column: sum(is_tag(cell, "ents") for cell in self._get_cells(column)) for column in usable}
        candidates = [column for column in usable if 2 * counts[column] >= len(self.rows)]
        candidates = candidates or [column for column in usable if self._is_bare(self._get_cells(column))]
        if not candidates:
            found = first if counts[first] > counts[last] else last
        elif named in candidates:
            found = named
        else:
            found = candidates[0] if kind == "spans" else self._find_outer(candidates)
        return found, [column for column in candidates if column != found]

    def _is_bare(self, tags: Sequence[str]) -> bool:
        """Return whether tags are labels without a prefix: asked for, or because most words have none but `O`."""
        counts = Counter(tags)
        return self.options.scheme == "bare" or (counts["O"] == max(counts.values()) and are_bare(counts))

    def _find_outer(self, candidates: Sequence[int]) -> int:
        """Find the first column with labels of the last one: nested entities follow outer ones, but not chunks."""
        labels = {column: {cell[2:] for cell in self._get_cells(column) if cell != "O"} for column in candidates}
        last = candidates[-1]
        return next((column for column in candidates if labels[column] & labels[last]), last)

    def _find_word_column(self, usable: list[int], tag_column: int, number_column: int | None) -> int:
        """Find the column of the words: by its name, or at the end that the tags leave free."""
        named = find_column(self.names, WORD_NAMES)
        free = [column for column in usable if column != tag_column]
        if named in free:
            found = named
        elif free:
            found = free[-1] if tag_column == usable[0] else free[0]
        else:
            found = number_column or 0
        self._check_words(found, number_column)
        return found

    def _check_words(self, column: int, number_column: int | None) -> None:
        """Check that a column that was not chosen by the user can be that of the words."""
        words = self._get_cells(column)
        by_sentence = [list(rows) for _, rows in groupby(self.rows, key=attrgetter("sentence"))]
        longer = [{row.columns[column] for row in rows} for rows in by_sentence if len(rows) > 1]
        may_be_others = self.n_columns > 2
        problems = {
            "numbers the rows": column == number_column,
            "holds numbers only": may_be_others and len(words) > 1 and all(map(_NUMBER.fullmatch, words)),
            "holds one value in each sentence": may_be_others and len(longer) > 1 and set(map(len, longer)) == {1},
            "holds '_' only": set(words) == {"_"},
        }
        if found := [problem for problem, is_there in problems.items() if is_there]:
            advice = f"pass --word-column with the column that has them, or {column + 1} for this one."
            raise self._error(f"column {column + 1} {found[0]}", f"Expected words; {advice}")

    def _check_tags(self, layout: ColumnLayout, tags: Sequence[str]) -> None:
        column = layout.tag_column + 1
        wrong = [(row, tag) for row, tag in zip(self.rows, tags, strict=True) if not is_tag(tag, layout.kind)]
        if set(tags) == {"_"} and layout.kind == "tags":
            expected = "Expected tags; pass --tag-column with the column that has them."
            raise self._error(f"column {column} holds '_' only", expected)
        if 2 * len(wrong) > len(tags) and not self._is_bare(tags):
            expected = f"Expected O or a tag such as B-PER in column {column}; pass --tag-column with another one, or"
            expected += f" --as tags for a file of plain tags; {_ADVICE_ON_TEXTS}."
            raise self._error(f"{wrong[0][1]!r} is not an entity tag", expected, wrong[0][0])

    def _get_cells(self, column: int) -> list[str]:
        return [row.columns[column] for row in self.rows]

    def _error(self, problem: str, expected: str, row: _Row | None = None) -> ColumnFormatError:
        return ColumnFormatError(self.path, (row or self.rows[0]).number, problem, expected)


def _find_language(words: Sequence[str]) -> str:
    """Return what all words begin with, such as `de:`, as in WikiANN; nothing if they do not."""
    found = _LANGUAGE.match(words[0])
    return found[0] if found and len(words) > 1 and all(each.startswith(found[0]) for each in words) else ""


def _count_columns(rows: Sequence[_Row]) -> int:
    """Count the columns of most rows. Where all of them end with a tab, no column follows it."""
    n_columns = Counter(len(row.columns) for row in rows).most_common(1)[0][0]
    columns = [row.columns for row in rows if len(row.columns) == n_columns]
    while n_columns > 1 and not any(cells[n_columns - 1] for cells in columns):
        n_columns -= 1
    return n_columns


def _fits(columns: Sequence[str], n_columns: int) -> bool:
    return len(columns) >= n_columns and not any(columns[n_columns:])
