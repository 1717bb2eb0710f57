"""Files of `Doc`s, as `DocBin.to_disk` writes them, → chunks."""

from __future__ import annotations

from collections.abc import Iterator

from spacy.tokens import DocBin

from spacy_bertft.annotate.chunks import Chunk, ChunkNames, Problem, Weights
from spacy_bertft.annotate.reading.inputs import Source
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import open_input
from spacy_bertft.data.docs import parse_docs, slice_docs
from spacy_bertft.errors import DataError

# A token's text, spaces and attributes in such a file, in bytes; it holds no plain text that could be counted.
_TOKEN_BYTES = 8


def cut_docs(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a `.spacy` file into chunks. Such a file is read whole."""
    names, weights = ChunkNames(source), Weights(source)
    with open_input(source.url, source.compression) as (file, _):
        content = file.read()
    try:
        whole = parse_docs(content)
    except DataError as error:
        problems = [Problem(None, str(error))]
        yield Chunk(names.make_next(), source.name, source.format, weight=source.n_bytes, problems=problems)
        return
    del content
    start = 0
    while start < len(whole):
        end = _find_end(whole, start, settings)
        yield Chunk(
            names.make_next(),
            source.name,
            source.format,
            weight=weights.share_out(source.n_bytes * end // len(whole)),
            table=slice_docs(whole, start, end).to_bytes(),
            first_row=start + 1,
        )
        start = end


def _find_end(whole: DocBin, start: int, settings: AnnotateSettings) -> int:
    n_bytes, end = 0, start
    while end < len(whole) and end - start < settings.shard_rows and n_bytes < settings.shard_bytes:
        n_bytes += _TOKEN_BYTES * len(whole.tokens[end])
        end += 1
    return end
