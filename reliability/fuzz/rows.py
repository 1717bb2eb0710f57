"""What `annotate` reads line by line: one byte of an input chooses format and settings, the rest is the file."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy_bertft.annotation.chunks import Chunk, Problem, cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings

from .blanks import get_blank
from .laws import LONGEST_ERROR, check
from .texts import DICTIONARY as _WORDS

DICTIONARY = (*_WORDS, b'{"text": "a"}\n', b"\x1f\x8b\x08\0\0\0\0\0\0\xff", b"\x28\xb5\x2f\xfd", b"ents", b"id")
_KINDS = (".txt", ".jsonl", ".csv", ".tsv")


def fuzz_one(data: bytes) -> None:
    """Read a file; every line is in a row, in a problem or empty, and problems are one line each."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    kind, compression = _KINDS[choice & 3], ("", ".gz", ".zst", ".gz")[choice >> 2 & 3]
    is_damaged = choice >> 2 & 3 == 3  # then the content is taken for the compressed file, whatever it is
    settings = AnnotateSettings(shard_rows=2 if choice & 16 else 5000, shard_mb=0.00002 if choice & 32 else 4)
    with TemporaryDirectory() as folder:
        path = Path(folder, f"a{kind}{compression}")
        path.write_bytes(content if is_damaged else _compress(content, compression))
        [source] = find_inputs([str(path)]).sources
        chunks = list(cut_source(source, settings))
    check(sum(chunk.weight for chunk in chunks) == (source.n_bytes if chunks else 0), "all bytes are shared out")
    check(len({chunk.shard for chunk in chunks}) == len(chunks), "shards have names of their own")
    check([Chunk.from_bytes(chunk.to_bytes()) for chunk in chunks] == chunks, "chunks travel as they are")
    vocab = get_blank("xx").vocab
    rows = [row for chunk in chunks for row in parse_rows(chunk, settings, vocab, max_chars=1000)]
    for row in rows:
        if isinstance(row, Problem):
            check("\n" not in row.reason, f"a reason is one line: {row.reason!r}")
            check(len(row.reason) <= LONGEST_ERROR, f"a reason can be read: {row.reason[:2000]!r}")
            row.reason.encode("utf-8")
        else:
            json.dumps(row.columns, ensure_ascii=False).encode("utf-8")
    if kind in (".txt", ".jsonl") and not is_damaged:
        _check_lines(rows, sum(chunk.n_empty for chunk in chunks), kind, content)


def _check_lines(rows: list[TextRow | Problem], n_empty: int, kind: str, content: bytes) -> None:
    lines = re.split(rb"\r*\n|\r", content.removeprefix(b"\xef\xbb\xbf"))
    if not lines[-1] and content != b"\xef\xbb\xbf":
        lines.pop()
    lines = [line if number == 0 else _remove_marks(line) for number, line in enumerate(lines)]
    full = {number for number, line in enumerate(lines, start=1) if line.decode("utf-8", "replace").strip()}
    check(sorted(row.line for row in rows) == sorted(full), "every line with something in it is a row or a problem")
    check(n_empty == len(lines) - len(full), "empty lines are counted")
    for row in rows:
        if isinstance(row, TextRow):
            line = lines[row.line - 1].decode("utf-8")
            check(row.text == (line if kind == ".txt" else json.loads(line)["text"]), "texts are exact")


def _remove_marks(line: bytes) -> bytes:
    """Remove the byte order marks at the start of a line, unless they may be a word of their own."""
    text = re.sub(rb"^(?:\xef\xbb\xbf)+", b"", line)
    return line if text.startswith((b" ", b"\t")) else text


def _compress(content: bytes, compression: str) -> bytes:
    if compression == ".gz":
        return gzip.compress(content, compresslevel=1)
    if compression == ".zst":
        import pyarrow

        return bytes(pyarrow.Codec("zstd").compress(content, asbytes=True))
    return content


def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
    """Mutate the content of a gzip file rather than its compressed bytes, half of the time."""
    import atheris

    if data and data[0] >> 2 & 3 == 3 and seed & 1:
        try:
            content = zlib.decompressobj(31).decompress(data[1:], max_bytes)
        except zlib.error:
            content = b""
        return data[:1] + gzip.compress(atheris.Mutate(content, max_bytes), mtime=0)[: max_bytes - 1]
    return bytes(atheris.Mutate(data, max_bytes))
