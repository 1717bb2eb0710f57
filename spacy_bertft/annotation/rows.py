"""Chunks → rows with a text, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bertft.annotation.chunks import Chunk, Problem, check_columns
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.data.arrow import list_rows
from spacy_bertft.data.docs import parse_docs, unpack_docs
from spacy_bertft.data.files import import_pyarrow
from spacy_bertft.data.records import Record, make_record
from spacy_bertft.errors import ColumnFormatError, DataError


@dataclass(frozen=True)
class TextRow:
    """A row with a text.

    Attributes:
        line: Where it starts in its file, from 1.
        text: The text, or the document that it is already.
        columns: All values of the row, the text among them, by name.
    """

    line: int
    text: str | Doc
    columns: Mapping[str, object] = field(default_factory=dict)

    @property
    def n_chars(self) -> int:
        """Characters of the text."""
        return len(self.text if isinstance(self.text, str) else self.text.text)


def parse_rows(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab, max_chars: int) -> Iterator[TextRow | Problem]:
    """Parse the rows of a chunk, in order; after them come the problems that were found when the file was read.

    Args:
        chunk: The chunk.
        settings: Which column holds the texts.
        vocab: Of the pipeline.
        max_chars: Longer texts are problems.
    """
    if chunk.table and chunk.format == "docbin":
        rows = _parse_docs(chunk, settings, vocab)
    else:
        rows = _parse_records(chunk, settings)
    for row in rows:
        if isinstance(row, TextRow) and row.n_chars > max_chars:
            reason = f"the text has {row.n_chars:,} characters. Expected {max_chars:,} at most; see --max-chars."
            yield Problem(row.line, reason)
        else:
            yield row
    yield from chunk.problems


def _parse_docs(chunk: Chunk, settings: AnnotateSettings, vocab: Vocab) -> Iterator[TextRow | Problem]:
    for number, doc in enumerate(unpack_docs(parse_docs(chunk.table), vocab), start=chunk.first_row):
        if isinstance(doc, DataError):
            yield Problem(number, str(doc))
        else:
            yield TextRow(number, doc, {settings.text_column: doc.text})


def _parse_records(chunk: Chunk, settings: AnnotateSettings) -> Iterator[TextRow | Problem]:
    columns = chunk.columns or [settings.text_column]
    for line, content in _read_table(chunk) if chunk.table else chunk.rows:
        try:
            if isinstance(content, Mapping):
                record = Record(chunk.source, line, content)
            else:
                record = make_record(chunk.source, line, content, chunk.format, columns)
            check_columns(record, settings)
            yield TextRow(line, record.get_text("text_column", settings.text_column), record.values)
        except ColumnFormatError as error:
            yield Problem(line, f"{error.problem}. {error.expected}")


def _read_table(chunk: Chunk) -> Iterator[tuple[int, Mapping[str, object]]]:
    table = import_pyarrow("Parquet").ipc.open_stream(chunk.table).read_all()
    yield from enumerate(list_rows(table), start=chunk.first_row)
