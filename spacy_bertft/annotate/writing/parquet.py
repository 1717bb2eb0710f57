"""Shards in Parquet. All shards of a file have the same schema, whatever stands in their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spacy.tokens import Doc

from spacy_bertft.annotate.chunks import Chunk
from spacy_bertft.annotate.extras import import_pyarrow
from spacy_bertft.annotate.reading.rows import Row
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.writing.answers import read_answers
from spacy_bertft.annotate.writing.kinds import EXTRA, fits
from spacy_bertft.annotate.writing.values import format_json


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

    def format_row(self, row: Row, doc: Doc) -> tuple[Mapping[str, object], dict[str, Any]]:
        """Take the columns of a row, and the answers."""
        return row.columns, read_answers(doc, self._settings.answers)

    def format_shard(self, rows: Sequence[Any], lines: Sequence[int], chunk: Chunk) -> bytes:
        """Format the columns one by one."""
        pyarrow = self._pyarrow
        columns = [columns for columns, _ in rows]
        if chunk.format == "parquet":
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


def _format_extra(row: Mapping[str, object], kinds: Mapping[str, str]) -> str | None:
    extra = {name: value for name, value in row.items() if name not in kinds or not fits(value, kinds[name])}
    return format_json(extra) if extra else None


def _list_types(pyarrow: Any) -> dict[str, Any]:
    start_end = [("start", pyarrow.int32()), ("end", pyarrow.int32())]
    entity = pyarrow.struct([*start_end, ("label", pyarrow.string()), ("score", pyarrow.float64())])
    return {
        "string": pyarrow.string(),
        "int64": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "ents": pyarrow.list_(entity),
        "cats": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
        "tags": pyarrow.list_(pyarrow.struct([*start_end, ("tag", pyarrow.string())])),
    }
