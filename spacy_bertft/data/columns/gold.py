"""Sentences of words and tags → sentences of words and spans, the gold standard of a Doc."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.data.columns.detection import detect_layout
from spacy_bertft.data.columns.layout import ColumnLayout
from spacy_bertft.data.columns.options import ColumnOptions
from spacy_bertft.data.columns.sentences import ColumnSentence, LineTally, read_columns
from spacy_bertft.errors import ColumnFormatError, DataError, TagError
from spacy_bertft.tags import Scheme, TagSpan, guess_scheme, read_spans, repair_tags


@dataclass(frozen=True)
class GoldSentence:
    """A sentence with what it is to teach.

    Attributes:
        words: The words.
        spans: The entities; empty where plain tags were read.
        tags: One plain tag per word; empty where entities were read.
        document: Number of the document it stands in, from 0, counted over all files.
    """

    words: list[str]
    spans: list[TagSpan]
    tags: list[str]
    document: int


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
        self._layouts = [(path, detect_layout(path, options)) for path in paths]
        self.scheme: Scheme = options.scheme or self._guess_scheme()

    def describe_columns(self) -> str:
        """Say in which columns words and tags are; of each file, where they differ."""
        return join_columns({path: layout.describe() for path, layout in self._layouts})

    def read(self, tally: LineTally | None = None) -> Iterator[GoldSentence]:
        """Read all sentences, file after file.

        Args:
            tally: Counts lines and repaired tags on the way.

        Raises:
            ColumnFormatError: A line cannot be read, or its tag may not stand where it stands.
        """
        tally = LineTally() if tally is None else tally
        document = -1
        for path, layout in self._layouts:
            for sentence in read_columns(path, layout, tally):
                document += sentence.is_doc_start
                yield self._read_gold(sentence, document, path, tally)

    def _guess_scheme(self) -> Scheme:
        if self.options.kind == "tags":
            return "bio"
        return guess_scheme(_read_tags(self._layouts))

    def _read_gold(self, sentence: ColumnSentence, document: int, path: Path, tally: LineTally) -> GoldSentence:
        words, tags = sentence.words, sentence.tags
        if self.options.kind == "tags":
            return GoldSentence(words, [], tags, document)
        try:
            if self.options.orphans == "repair":
                tags, n_repaired = repair_tags(tags, self.scheme)
                tally.n_tags_repaired += n_repaired
            return GoldSentence(words, read_spans(tags, self.scheme), [], document)
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


def _read_tags(layouts: Iterable[tuple[Path, ColumnLayout]]) -> Iterator[list[str]]:
    for path, layout in layouts:
        for sentence in read_columns(path, layout):
            yield sentence.tags
