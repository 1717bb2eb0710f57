"""Files → chunks, whatever is in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from spacy_bertft.annotate.chunks import Chunk
from spacy_bertft.annotate.reading.delimited import cut_delimited
from spacy_bertft.annotate.reading.docs import cut_docs
from spacy_bertft.annotate.reading.inputs import InputFormat, Source
from spacy_bertft.annotate.reading.lines import cut_lines
from spacy_bertft.annotate.reading.table import cut_table
from spacy_bertft.annotate.settings import AnnotateSettings

Cut = Callable[[Source, AnnotateSettings], Iterator[Chunk]]

_CUTTERS: dict[InputFormat, Cut] = {
    "text": cut_lines,
    "jsonl": cut_lines,
    "csv": cut_delimited,
    "tsv": cut_delimited,
    "parquet": cut_table,
    "docbin": cut_docs,
}


def cut_source(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a file into chunks. A file that cannot be read is a chunk with that problem, after those that could.

    Raises:
        MissingExtraError: A package is missing for it.
    """
    return _CUTTERS[source.format](source, settings)


def cut_unfinished(sources: Iterable[Source], settings: AnnotateSettings, finished: Collection[str]) -> Iterator[Chunk]:
    """Cut files into chunks, and leave out those whose shards are there.

    Args:
        sources: The files.
        settings: How large a chunk may be.
        finished: Names of shards.

    Raises:
        MissingExtraError: A package is missing for a file.
    """
    return (chunk for source in sources for chunk in cut_source(source, settings) if chunk.shard not in finished)
