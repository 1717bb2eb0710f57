"""Annotated rows → shards: JSON lines, `DocBin`s or Parquet.

`format_row` takes from a row and its document what is to be written, after which the document is forgotten. It raises a
TypeError, ValueError or RecursionError if they hold something that cannot be written. `format_shard` formats what was
taken from all rows of a chunk, which start at some `lines` of its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import srsly
from spacy.tokens import Doc, DocBin

from spacy_bertft.annotation.chunks import Chunk
from spacy_bertft.annotation.rows import TextRow
from spacy_bertft.annotation.settings import AnnotateSettings, OutputFormat
from spacy_bertft.annotation.values import EXTRA, fits, format_json, read_answers, simplify
from spacy_bertft.data.files import import_pyarrow


class JsonlWriter:
    """Writes the columns of a row as they came, and the answers after them."""

    suffix = ".jsonl"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._settings = settings

    def format_row(self, row: TextRow, doc: Doc) -> str:
        """Format a line."""
        return format_json({**row.columns, **_read_answers(doc, self._settings)})

    def format_shard(self, rows: Sequence[object], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Join the lines."""
        return "".join(f"{row}\n" for row in rows).encode("utf-8")


class DocsWriter:
    """Writes documents; the other columns of a row are in `doc.user_data["columns"]`."""

    suffix = ".spacy"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._text_column = settings.text_column

    def format_row(self, row: TextRow, doc: Doc) -> Doc:
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


class ParquetWriter:
    """Writes columns as they came: those of a Parquet file with their types, those of CSV as strings.

    JSON has no schema. What its columns hold is found out from the first rows of the input; what does not fit, or comes
    later, is kept as JSON in the column `EXTRA`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    suffix = ".parquet"

    def __init__(self, settings: AnnotateSettings) -> None:
        self._pyarrow = import_pyarrow("Parquet")
        self._settings = settings
        self._types = _list_types(self._pyarrow)

    def format_row(self, row: TextRow, doc: Doc) -> tuple[Mapping[str, object], dict[str, Any]]:
        """Take the columns of a row, and the answers."""
        return row.columns, _read_answers(doc, self._settings)

    def format_shard(self, rows: Sequence[Any], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Format the columns one by one."""
        pyarrow = self._pyarrow
        columns = [columns for columns, _ in rows]
        if chunk.format in ("parquet", "arrow"):
            indices = [line - chunk.first_row for line in lines]
            table = pyarrow.ipc.open_stream(chunk.table).read_all().take(indices)
        else:
            table = pyarrow.table(self._format_columns(columns, chunk))
        for answer in self._settings.answers:
            name = self._settings.answers[answer]
            table = table.append_column(name, pyarrow.array([found[name] for _, found in rows], self._types[answer]))
        stream = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(table, stream, compression="zstd")
        content: bytes = stream.getvalue().to_pybytes()
        return content

    def _format_columns(self, rows: Sequence[Mapping[str, object]], chunk: Chunk) -> dict[str, Any]:
        names = chunk.columns or [self._settings.text_column]
        kinds = self._settings.kinds if chunk.format == "jsonl" else dict.fromkeys(names, "string")
        arrays = {}
        for name, kind in kinds.items():
            values = [row[name] if name in row and fits(row[name], kind) else None for row in rows]
            arrays[name] = self._pyarrow.array(values, self._types[kind])
        if chunk.format == "jsonl":
            arrays[EXTRA] = self._pyarrow.array([_format_extra(row, kinds) for row in rows], self._types["string"])
        return arrays


def _read_answers(doc: Doc, settings: AnnotateSettings) -> dict[str, Any]:
    return read_answers(doc, settings.answers, settings.entity_groups)


def _format_extra(row: Mapping[str, object], kinds: Mapping[str, str]) -> str | None:
    extra = {name: value for name, value in row.items() if name not in kinds or not fits(value, kinds[name])}
    return format_json(extra) if extra else None


def _list_types(pyarrow: Any) -> dict[str, Any]:
    start_end = [("start", pyarrow.int32()), ("end", pyarrow.int32())]
    answer = [("text", pyarrow.string()), ("score", pyarrow.float64())]
    entities = pyarrow.list_(pyarrow.struct([*start_end, ("label", pyarrow.string()), *answer]))
    return {
        "string": pyarrow.string(),
        "int64": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "ents": entities,
        "cats": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
        "spans": pyarrow.map_(pyarrow.string(), entities),
        "answers": pyarrow.list_(pyarrow.struct([*start_end, *answer])),
        "tags": pyarrow.list_(pyarrow.struct([*start_end, ("tag", pyarrow.string())])),
    }


ShardWriter = JsonlWriter | ParquetWriter | DocsWriter
_WRITERS: dict[OutputFormat, type[ShardWriter]] = {
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
