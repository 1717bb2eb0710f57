"""Shards that `DocBin.from_disk` reads, with all that the pipeline has written on the documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import srsly
from spacy.tokens import Doc, DocBin

from spacy_bertft.annotate.chunks import Chunk
from spacy_bertft.annotate.reading.rows import Row
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.writing.values import simplify


class DocsWriter:
    """Writes documents; the other columns of a row stand in `doc.user_data["columns"]`."""

    suffix = ".spacy"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._text_column = settings.text_column

    def format_row(self, row: Row, doc: Doc) -> Doc:
        """Put the columns on the document; whole numbers of more than 64 bits as strings.

        Raises:
            TypeError: A component has put something on the document that cannot be written.
            ValueError: The columns are nested too deeply.
        """
        columns = {name: simplify(value) for name, value in row.columns.items() if name != self._text_column}
        if columns:
            doc.user_data["columns"] = columns
        try:
            srsly.msgpack_dumps(doc.user_data)
        except OverflowError:
            doc.user_data["columns"] = _spell_large_numbers(columns)
            srsly.msgpack_dumps(doc.user_data)
        return doc

    def format_shard(self, rows: Sequence[object], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Collect the documents."""
        content: bytes = DocBin(docs=[doc for doc in rows if isinstance(doc, Doc)], store_user_data=True).to_bytes()
        return content


def _spell_large_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spell_large_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_spell_large_numbers(each) for each in value]
    return str(value) if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 else value
