"""Shards of JSON objects, one a line."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.tokens import Doc

from spacy_bertft.annotate.chunks import Chunk
from spacy_bertft.annotate.reading.rows import Row
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.writing.answers import read_answers
from spacy_bertft.annotate.writing.values import format_json


class JsonlWriter:
    """Writes the columns of a row as they came, and the answers after them."""

    suffix = ".jsonl"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._answers = settings.answers

    def format_row(self, row: Row, doc: Doc) -> str:
        """Format a line."""
        return format_json({**row.columns, **read_answers(doc, self._answers)})

    def format_shard(self, rows: Sequence[object], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Join the lines."""
        return "".join(f"{row}\n" for row in rows).encode("utf-8")
