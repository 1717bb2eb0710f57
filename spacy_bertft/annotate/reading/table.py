"""Parquet files → chunks, with the columns as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spacy_bertft.annotate.chunks import Chunk, ChunkNames, Problem, Weights
from spacy_bertft.annotate.extras import import_pyarrow
from spacy_bertft.annotate.reading.columns import find_header_problem
from spacy_bertft.annotate.reading.inputs import Source
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import open_input


def cut_table(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a Parquet file into chunks.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pyarrow = import_pyarrow("Parquet")
    names, weights = ChunkNames(source), Weights(source)
    first_row = 1
    with open_input(source.url, source.compression) as (file, _):
        try:
            table = pyarrow.parquet.ParquetFile(file)
            problem = find_header_problem(table.schema_arrow.names, settings)
            if problem is not None:
                yield _report(names, weights, source, f"{problem} The file is left out.")
                return
            for batch in table.iter_batches(settings.shard_rows):
                for part in _split(batch, settings.shard_bytes):
                    n_read = first_row - 1 + part.num_rows
                    yield Chunk(
                        names.make_next(),
                        source.name,
                        source.format,
                        weight=weights.share_out(source.n_bytes * n_read // table.metadata.num_rows),
                        table=_format(pyarrow, part),
                        first_row=first_row,
                    )
                    first_row += part.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            place = f"cannot be read from row {first_row} on" if first_row > 1 else "is no Parquet file"
            yield _report(names, weights, source, f"the file {place} ({error}). Expected a whole file.")


def _split(batch: Any, n_bytes: int) -> Iterator[Any]:
    """Split a batch into equal parts of no more than some bytes, as far as rows allow."""
    n_parts = min(batch.num_rows, -(-batch.nbytes // n_bytes)) or 1
    n_rows = -(-batch.num_rows // n_parts)
    return (batch.slice(start, n_rows) for start in range(0, batch.num_rows, n_rows or 1))


def _format(pyarrow: Any, batch: Any) -> bytes:
    stream = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = stream.getvalue().to_pybytes()
    return content


def _report(names: ChunkNames, weights: Weights, source: Source, reason: str) -> Chunk:
    weight = weights.share_out_rest()
    return Chunk(names.make_next(), source.name, source.format, weight=weight, problems=[Problem(None, reason)])
