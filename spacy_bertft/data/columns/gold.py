"""Column files → sentences of words and tags, then of words and spans: the gold standard of a Doc."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from spacy_bertft.data.columns.detection import detect_layout
from spacy_bertft.data.columns.layout import BLANKS, ColumnLayout, ColumnOptions, is_no_token
from spacy_bertft.data.columns.tables import open_table
from spacy_bertft.data.rows import Tally, read_lines
from spacy_bertft.errors import ColumnFormatError, DataError, TagError, format_count
from spacy_bertft.tags.grammar import TagScheme, parse_tag_scheme
from spacy_bertft.tags.schemes import TagSpan, guess_scheme, read_spans, repair_tags

_SAMPLE_TAGS = 10_000
_TOKEN_NUMBER = re.compile(r"[0-9]+")


@dataclass(slots=True)
class ColumnSentence:
    """A sentence as it is in the file.

    Attributes:
        is_doc_start: Whether a document starts here.
        lines: Line numbers of the tokens, from 1.
        words: The words.
        tags: The tags, one per word; empty where there is none.
    """

    is_doc_start: bool
    lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def read_columns(path: Path, layout: ColumnLayout, tally: Tally | None = None) -> Iterator[ColumnSentence]:
    """Read the sentences of a column file.

    Args:
        path: The file.
        layout: Which of its columns hold words and tags.
        tally: Counts the lines on the way.

    Raises:
        ColumnFormatError: A line lacks a column, or has one too many.
    """
    tally = Tally() if tally is None else tally
    sentence: ColumnSentence | None = None
    is_doc_start = True
    if layout.table:
        _, sentences = open_table(path, layout.table, tally)
        for rows in sentences:
            if not rows:
                tally.left_out["empty sentences"] += 1
                continue
            taken = [_take_token(cells, " ".join(cells), path, number, layout) for number, cells in rows]
            words, tags, _ = map(list, zip(*taken, strict=True))
            yield ColumnSentence(is_doc_start, [number for number, _ in rows], words, tags)
            is_doc_start = False
        return
    # What most lines are is taken without a closer look: exactly the columns, and no blanks around them.
    separator, odd = ("\t", " ") if layout.is_tabbed else (" ", "\t")
    n_columns, word_column, tag_column, header = layout.n_columns, layout.word_column, layout.tag_column, layout.header
    for number, line in read_lines(path, tally, layout.encoding):
        if sentence and layout.number_column is None and odd not in line and "-DOCSTART-" not in line:
            cells = line.split(separator)
            if len(cells) == n_columns and all(cells) and tuple(cells) != header:
                sentence.lines.append(number)
                sentence.words.append(cells[word_column])
                sentence.tags.append(cells[tag_column])
                continue
        starts_doc = layout.is_document_start(line)
        if starts_doc or not line.strip(BLANKS):
            if sentence:
                yield sentence
            sentence = None
            is_doc_start |= starts_doc
            if starts_doc:
                tally.left_out["-DOCSTART- lines"] += 1
        elif sentence is None and layout.is_comment(line):
            tally.left_out["comment lines"] += 1
        elif tuple(columns := layout.split(line)) == layout.header:
            tally.left_out["header lines"] += 1
        else:
            word, tag, row_number = _take_token(columns, line, path, number, layout)
            if is_no_token(row_number):
                tally.left_out["ranges such as 2-3 and empty nodes such as 1.1"] += 1
                continue
            tally.n_tags_missing += not tag
            sentence = sentence or ColumnSentence(is_doc_start)
            is_doc_start = False
            sentence.lines.append(number)
            sentence.words.append(word)
            sentence.tags.append(tag)
    if sentence:
        yield sentence


def _take_token(columns: list[str], line: str, path: Path, number: int, layout: ColumnLayout) -> tuple[str, str, str]:
    """Take the word, the tag, "" if it is missing, and the number, "" without a column for it, of a row."""
    if len(columns) != layout.n_columns:
        raise _make_error(path, number, f"{line!r} has {format_count(len(columns), 'column')}", layout)
    word, tag = columns[layout.word_column], columns[layout.tag_column]
    row_number = "" if layout.number_column is None else columns[layout.number_column]
    if is_no_token(row_number):
        return word, tag, row_number
    if layout.number_column is not None and not _TOKEN_NUMBER.fullmatch(row_number):
        raise _make_error(path, number, f"{line!r} has no number of its row", layout)
    if not word or not tag:
        raise _make_error(path, number, f"{line!r} has no {'tag' if word else 'word'}", layout)
    # In CoNLL-U `_` means that there is none.
    is_missing = tag == "_" and layout.kind == "tags" and layout.number_column is not None
    return word, "" if is_missing else tag, row_number


def _make_error(path: Path, number: int, problem: str, layout: ColumnLayout) -> ColumnFormatError:
    separator = "tabs" if layout.is_tabbed else "blanks"
    expected = f"Expected {layout.n_columns} columns separated by {separator}, {layout.describe()}."
    return ColumnFormatError(path, number, problem, expected)


@dataclass(slots=True)
class GoldSentence:
    """A sentence with what it is to teach.

    Attributes:
        words: The words.
        spans: The entities; empty where plain tags were read.
        tags: One plain tag per word; empty where entities were read.
        document: Number of its document, from 0, counted over all files.
        where: File and line.
    """

    words: list[str]
    spans: list[TagSpan]
    tags: list[str]
    document: int
    where: tuple[Path, int] = field(compare=False, default=(Path(), 0))


class GoldReader:
    """Reads column files, each in its own layout, all in one scheme.

    Layout and scheme are found out when the reader is made; reading streams, and may be done again.

    Args:
        paths: The column files.
        options: How to read them.

    Attributes:
        scheme: The scheme of the tags.

    Raises:
        DataError: There is no file, or one holds no token.
        ColumnFormatError: A file has no column of tags.
    """

    def __init__(self, paths: Sequence[Path], options: ColumnOptions) -> None:
        if not paths:
            raise DataError("No input file was given. Expected at least one column file.")
        self.options = options
        self._layouts = [(path, _detect_layers(path, options)) for path in paths]
        self.scheme: TagScheme = "bio"
        if options.scheme is not None:
            self.scheme = parse_tag_scheme(options.scheme)
        elif options.kind != "tags":
            self.scheme = guess_scheme(_read_evidence(self._layouts))

    def describe_columns(self) -> str:
        """Say in which columns words and tags are; of each file, where they differ."""
        return join_columns({path: layout.describe() for path, (layout, *_) in self._layouts})

    def read(self, tally: Tally | None = None) -> Iterator[GoldSentence]:
        """Read all sentences, file after file.

        Args:
            tally: Counts lines and repaired tags on the way.

        Raises:
            ColumnFormatError: A line cannot be read, or its tag is not valid where it is.
        """
        tally = Tally() if tally is None else tally
        document = -1
        for path, (layout, *others) in self._layouts:
            further = [read_columns(path, each) for each in others]
            for sentence in read_columns(path, layout, tally):
                document += sentence.is_doc_start
                if layout.word_prefix and self.options.fix:
                    sentence.words = [word.removeprefix(layout.word_prefix) or word for word in sentence.words]
                gold = self._read_gold(sentence, document, path, tally)
                for layer in further:
                    inner = self._read_gold(_take_same(layer, sentence, path), document, path, tally)
                    # A span that is in two layers is one.
                    gold.spans = list(dict.fromkeys([*gold.spans, *inner.spans]))
                yield gold

    def _read_gold(self, sentence: ColumnSentence, document: int, path: Path, tally: Tally) -> GoldSentence:
        words, tags, where = sentence.words, sentence.tags, (path, sentence.lines[0])
        if self.options.kind == "tags":
            return GoldSentence(words, [], tags, document, where)
        try:
            if self.options.orphans == "repair":
                tags, n_repaired = repair_tags(tags, self.scheme)
                tally.n_tags_repaired += n_repaired
            return GoldSentence(words, read_spans(tags, self.scheme), [], document, where)
        except TagError as error:
            problem = f"tag {error.tag!r} {error.problem}"
            raise ColumnFormatError(path, sentence.lines[error.index], problem, self._advise(tags, error)) from error

    def _advise(self, tags: list[str], error: TagError) -> str:
        expected = f"Expected {error.expected}"
        try:
            repaired, _ = repair_tags(tags, self.scheme)
        except TagError:
            # Not a matter of order: the tag itself is wrong, and no repair can read it.
            return f"{expected} (scheme {self.scheme}; --scheme takes another)."
        reading = repaired[error.index]
        outcome = f"read it as {reading}" if reading != error.tag else "end the span before it"
        return f"{expected}; pass --orphans repair to {outcome}."


def join_columns(columns: Mapping[Path, str]) -> str:
    """Join what is said of the columns of files; the same of all of them is said once."""
    if len(set(columns.values())) == 1:
        return next(iter(columns.values()))
    return "; ".join(f"{path}: {found}" for path, found in columns.items())


def _read_evidence(layouts: Iterable[tuple[Path, Sequence[ColumnLayout]]]) -> Iterator[list[str]]:
    """Read sequences of tags until there are ten thousand tags of entities, which tell the scheme of any corpus."""
    n_tags = 0
    for sentence in chain.from_iterable(read_columns(path, each) for path, layers in layouts for each in layers):
        yield sentence.tags
        n_tags += len(sentence.tags) - sentence.tags.count("O")
        if n_tags >= _SAMPLE_TAGS:
            return


def _take_same(layer: Iterator[ColumnSentence], outer: ColumnSentence, path: Path) -> ColumnSentence:
    """Take the next sentence of a layer.

    Raises:
        ColumnFormatError: It has other lines: one of them is a comment or a word, by the tag of the layer.
    """
    sentence = next(layer, None)
    if sentence is None or sentence.lines != outer.lines:
        expected = "Expected no comment that reads as a word with a tag; remove comments."
        raise ColumnFormatError(path, outer.lines[0], "two columns of tags differ in what is a word", expected)
    return sentence


def _detect_layers(path: Path, options: ColumnOptions) -> list[ColumnLayout]:
    """Detect the layout of a file; of nested spans, one for each column of tags, the outer ones first."""
    if options.kind != "spans":
        return [detect_layout(path, options)]
    columns = [None] if options.tag_column is None else [each.strip() for each in str(options.tag_column).split(",")]
    first, *others = (detect_layout(path, replace(options, tag_column=column)) for column in columns)
    inner = tuple(layout.tag_column for layout in others) or first.other_tag_columns
    return [replace(first, tag_column=column, other_tag_columns=inner) for column in (first.tag_column, *inner)]
