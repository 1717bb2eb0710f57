"""Shards that `DocBin.from_disk` reads, with all that the pipeline has written on the documents."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.tokens import Doc, DocBin

from ..chunks import Chunk
from ..rows import Row, simplify
from ..settings import AnnotateSettings


class DocsWriter:
    """Writes documents; the other columns of a row stand in `doc.user_data["columns"]`."""

    suffix = ".spacy"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._text_column = settings.text_column

    def format_row(self, row: Row, doc: Doc) -> Doc:
        """Put the columns on the document."""
        columns = {name: simplify(value) for name, value in row.columns.items() if name != self._text_column}
        if columns:
            doc.user_data["columns"] = columns
        return doc

    def format_shard(self, rows: Sequence[object], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Collect the documents."""
        content: bytes = DocBin(docs=[doc for doc in rows if isinstance(doc, Doc)], store_user_data=True).to_bytes()
        return content
