"""Lines of a file, of texts or JSON objects, as bytes: what they hold is found out where they are annotated."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from spacy_bertft.annotate.chunks import Chunk, Empty, Problem, RawRow, collect_rows
from spacy_bertft.annotate.reading.inputs import Source
from spacy_bertft.annotate.settings import AnnotateSettings
from spacy_bertft.annotate.storage import open_input
from spacy_bertft.data.lines import describe_long_line, split_lines

# What damaged files raise, plain or compressed. pyarrow's own errors of zstd are OSErrors.
READ_ERRORS = (OSError, EOFError, zlib.error)
_BOM = b"\xef\xbb\xbf"


def cut_lines(source: Source, settings: AnnotateSettings) -> Iterator[Chunk]:
    """Cut a file with a text or a JSON object on each line into chunks."""
    with open_input(source.url, source.compression) as (file, tell):
        yield from collect_rows(read_raw_rows(file, at_returns=True), source, settings, tell, [])


def read_raw_rows(file: IO[bytes], *, at_returns: bool = False) -> Iterator[RawRow | Problem | Empty]:
    """Read a file line by line, never more of a line than `split_lines` allows.

    Args:
        file: The file. A byte order mark at its start is passed over.
        at_returns: Whether a lone carriage return ends a line too.

    Yields:
        Each line with its end. A line that is too long, and the place from where on the file cannot be read, are
            problems.
    """
    number = 0
    try:
        for number, line in enumerate(split_lines(file, at_returns=at_returns), start=1):
            if line is None:
                yield Problem(number, f"{describe_long_line()}. Expected shorter ones.")
                continue
            content = line.removeprefix(_BOM) if number == 1 else line
            yield RawRow(number, content, len(line)) if content.strip() else Empty(number, content)
    except READ_ERRORS as error:
        yield Problem(number + 1, f"the file cannot be read from here on ({error}). Expected a whole file.")
