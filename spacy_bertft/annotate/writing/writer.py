"""What a writer of shards does, and which one writes what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spacy.tokens import Doc

from spacy_bertft.annotate.chunks import Chunk
from spacy_bertft.annotate.reading.rows import Row
from spacy_bertft.annotate.settings import AnnotateSettings, OutputFormat
from spacy_bertft.annotate.writing.docs import DocsWriter
from spacy_bertft.annotate.writing.jsonl import JsonlWriter
from spacy_bertft.annotate.writing.parquet import ParquetWriter


class ShardWriter(Protocol):
    """Writes rows of one chunk.

    Attributes:
        suffix: What the name of a shard ends in.
    """

    suffix: str

    def format_row(self, row: Row, doc: Doc) -> object:
        """Take from a row and its document what is to be written; the document is forgotten after that.

        Raises:
            TypeError: They hold something that cannot be written.
            ValueError: The same.
            RecursionError: A column is nested too deeply.
        """

    def format_shard(self, rows: Sequence[object], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Format a shard.

        Args:
            rows: What was taken from each row, in order.
            lines: Where each of them starts in the file.
            chunk: What they were read from.
        """


_WRITERS: dict[OutputFormat, type[JsonlWriter | ParquetWriter | DocsWriter]] = {
    "jsonl": JsonlWriter,
    "parquet": ParquetWriter,
    "docbin": DocsWriter,
}


def make_writer(settings: AnnotateSettings) -> ShardWriter:
    """Make the writer of a format.

    Raises:
        MissingExtraError: A package is missing for it.
    """
    return _WRITERS[settings.output_format](settings)
