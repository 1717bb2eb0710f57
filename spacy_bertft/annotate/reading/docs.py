"""Files of `Doc`s, as `DocBin.to_disk` writes them, → chunks."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from spacy.tokens import DocBin

from ..chunks import Chunk, ChunkNames, Problem, Weights
from ..settings import AnnotateSettings
from ..storage import open_input
from .inputs import Source

# A token's text, spaces and attributes in such a file, in bytes; it holds no plain text that could be counted.
_TOKEN_BYTES = 8


def cut_docs(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a `.spacy` file into chunks. Such a file is read whole."""
    names, weights = ChunkNames(source), Weights(source)
    with open_input(source.url, source.compression) as (file, _):
        content = file.read()
    try:
        whole = DocBin().from_bytes(content)
    except (ValueError, KeyError, TypeError, AssertionError, zlib.error) as error:
        reason = f"the file holds no Docs ({str(error) or type(error).__name__}). Expected what DocBin.to_disk wrote."
        problems = [Problem(None, " ".join(reason.split()))]
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
            table=_slice(whole, start, end).to_bytes(),
            first_row=start + 1,
        )
        start = end


def _find_end(whole: DocBin, start: int, settings: AnnotateSettings) -> int:
    n_bytes, end = 0, start
    while end < len(whole) and end - start < settings.shard_rows and n_bytes < settings.shard_bytes:
        n_bytes += _TOKEN_BYTES * len(whole.tokens[end])
        end += 1
    return end


def _slice(whole: DocBin, start: int, end: int) -> DocBin:
    part = DocBin(store_user_data=True)
    part.attrs = whole.attrs
    for name in ("tokens", "spaces", "cats", "span_groups", "flags", "user_data"):
        setattr(part, name, getattr(whole, name)[start:end])
    part.strings = whole.strings
    return part
