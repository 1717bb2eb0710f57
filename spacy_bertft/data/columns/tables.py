"""Words and tags in other files than columns → rows of cells by sentence, so that they are then read as columns are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby, islice, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import cast

from spacy_bertft.data.columns.layout import TAG_NAMES, WORD_NAMES, ColumnOptions, find_column, split_line
from spacy_bertft.data.files import FileFormat, find_format
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import Layout, Tally, read_lines
from spacy_bertft.errors import ColumnFormatError, DataError, format_count

Rows = list[tuple[int, list[str]]]  # line and cells of each row of a sentence
Table = tuple[tuple[str, ...], Iterable[Rows]]  # the names of the cells, which may be none, and the sentences
_SAMPLE_LINES = 100
_DOC = re.compile(r"(doc(ument)?|file)[ _#]*(id|name)?$", re.IGNORECASE)


def find_sentence_column(names: Iterable[str]) -> str | None:
    """Find the column that tells which row belongs to which sentence, such as `Sentence #` or `sentence_id`."""
    return next((name for name in names if name.casefold().startswith(("sentence", "sent_"))), None)


def open_table(path: Path, options: ColumnOptions, tally: Tally) -> Table:
    """Open a file in one of `TABLES`; its sentences can be read once.

    Raises:
        DataError: The file holds no row.
        ColumnFormatError: A row cannot be read.
    """
    return TABLES[options.file_format or ""](path, options, tally)


def _open_inline(path: Path, options: ColumnOptions, tally: Tally) -> Table:
    """Open lines of a sentence each, in which every word is followed by its tags: `word|POS|TAG`."""
    sample = (line for _, line in islice(read_lines(path, encoding=options.encoding), _SAMPLE_LINES))
    counts = Counter(token.count("|") for line in sample for token in split_line(line, is_tabbed=False))
    [(n_tags, _)] = counts.most_common(1) or [(1, 0)]
    lines = ((number, split_line(line, is_tabbed=False)) for number, line in read_lines(path, tally, options.encoding))
    # A word may hold the separator itself.
    return (), ([(number, each.rsplit("|", n_tags)) for each in tokens if each] for number, tokens in lines)


def _open_pair(path: Path, options: ColumnOptions, tally: Tally) -> Table:
    """Open lines of words, whose tags are in the same lines of the file that ends in `.out`, as of SNIPS and ATIS."""
    return (), _read_pair(path, path.with_suffix(".out"), tally, options.encoding)


def _read_pair(path: Path, tag_path: Path, tally: Tally, encoding: str | None) -> Iterator[Rows]:
    lines_of_both = read_lines(path, tally, encoding), read_lines(tag_path, encoding=encoding)
    pairs = zip_longest(*lines_of_both, fillvalue=(0, ""))
    for number, lines in enumerate(pairs, start=1):
        words, tags = ([each for each in split_line(line, is_tabbed=False) if each] for _, line in lines)
        if len(words) != len(tags):
            problem = f"the line has {format_count(len(words), 'word')}"
            raise ColumnFormatError(path, number, problem, f"Expected {len(tags)}, as line {number} of {tag_path} has.")
        yield [(number, [word, tag]) for word, tag in zip(words, tags, strict=True)]


def _open_cells(path: Path, options: ColumnOptions, tally: Tally) -> Table:
    """Open CSV or TSV with a column of sentences, which each row fills or only the first one of a sentence."""
    first, records = _peek(path, "tsv" if find_format(path)[0] == "tsv" else "csv", options, tally)
    column = find_sentence_column(first.values)
    if column is None:
        raise first.error("no column names the sentences", "Expected one such as 'Sentence #' or 'sentence_id'.")
    by_sentence = groupby(_mark_sentences(records, column), key=itemgetter(0))
    sentences = ([(each.line, list(map(str, each.values.values()))) for _, each in rows] for _, rows in by_sentence)
    return tuple(first.values), sentences


def _mark_sentences(records: Iterator[Record], column: str) -> Iterator[tuple[tuple[str, str], Record]]:
    document = sentence = ""
    for record in records:
        # In many files the numbers of sentences begin anew in each document.
        document = next((str(value) for name, value in record.values.items() if _DOC.match(name) and value), document)
        sentence = str(record.values[column]) or sentence
        yield (document, sentence), record


def _open_lists(path: Path, options: ColumnOptions, tally: Tally) -> Table:
    """Open JSON whose objects have a list of words, and others of their tags."""
    first, records = _peek(path, "json", options, tally)
    lists = [name for name, value in first.values.items() if isinstance(value, list)]
    place = find_column(lists, [str(options.word_column), *WORD_NAMES])
    if place is None:
        raise first.error("no field is a list of words", f"Expected one of {', '.join(WORD_NAMES)}, or --word-column.")
    given = str(options.tag_column).split(",")
    wanted = [*given, *TAG_NAMES[options.kind], *TAG_NAMES["ents"], *TAG_NAMES["tags"]]
    # Others, such as labels of the text, may have as many elements by chance.
    names = tuple(name for name in lists if name == lists[place] or name.casefold() in wanted or name in given)
    return names, (_read_lists(each, names, find_column(names, wanted), options.names) for each in records)


def _read_lists(record: Record, names: Sequence[str], tag_column: int | None, labels: Sequence[str]) -> Rows:
    lists = [record.values.get(name) for name in names]
    if not all(isinstance(each, list) and len(each) == len(cast(list[object], lists[0])) for each in lists):
        raise record.error(f"{', '.join(names)} are not lists of one length", "Expected a tag for each word.")
    if any(None in cast(list[object], each) for each in lists):
        raise record.error(f"a value in {', '.join(names)} is null", "Expected words and tags; leave the row out.")
    rows = [list(cells) for cells in zip(*cast(list[list[object]], lists), strict=True)]
    for cells in rows if tag_column is not None else ():
        tag = cells[tag_column or 0]
        if isinstance(tag, int) and not 0 <= tag < len(labels):
            expected = f"Expected a number below {len(labels)}." if labels else "Pass --label-names with their names."
            raise record.error(f"the tag in {names[tag_column or 0]!r} is the number {tag}", expected)
        cells[tag_column or 0] = labels[tag] if isinstance(tag, int) else tag
    return [(record.line, [str(cell).strip() for cell in cells]) for cells in rows]


def _peek(path: Path, file_format: FileFormat, options: ColumnOptions, tally: Tally) -> tuple[Record, Iterator[Record]]:
    records = read_records(path, file_format, tally, layout=Layout(encoding=options.encoding))
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: the file holds no token. Expected words and tags.")
    return first, chain([first], records)


TABLES: dict[str, Callable[[Path, ColumnOptions, Tally], Table]] = {
    "inline": _open_inline,
    "pair": _open_pair,
    "cells": _open_cells,
    "lists": _open_lists,
}
