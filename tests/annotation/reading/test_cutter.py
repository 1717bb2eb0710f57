"""Whatever is in a file: its chunks hold every row once, in order."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import spacy
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from row_files import compress, format_delimited, format_jsonl, write_rows

from spacy_bertft.annotation.chunks import Chunk, cut_source, cut_unfinished
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings

HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None
COMPRESSIONS = ["", ".gz", ".zst"] if HAS_PYARROW else ["", ".gz"]
VOCAB = spacy.blank("en").vocab
settings = st.builds(AnnotateSettings, shard_rows=st.integers(1, 6), shard_mb=st.sampled_from([1e-9, 2e-5, 2e-4, 4.0]))
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
odd_text = st.text(st.sampled_from('a ",;\t\r\n\u0085\u2028\ufeff\U0001f600'), max_size=8)
texts = st.lists(odd_text | any_text, min_size=1, max_size=20)
line_texts = st.lists(
    (odd_text | any_text).filter(lambda text: not set(text) & {"\r", "\n"} and text.lstrip("\ufeff").strip()),
    max_size=20,
)


def remove_marks(line: str) -> str:
    """Remove the byte order marks at the start of a line, unless they may be a word of their own."""
    text = line.lstrip("\ufeff")
    return line if text.startswith((" ", "\t")) else text


def cut(path: Path, chosen: AnnotateSettings) -> list[Chunk]:
    """Cut a file, and check what holds for the chunks of every one."""
    [source] = find_inputs([str(path)]).sources
    chunks = list(cut_source(source, chosen))
    names = [chunk.shard for chunk in chunks]
    assert names == sorted(set(names))
    assert all(chunk.weight >= 0 for chunk in chunks)
    if chunks:
        assert sum(chunk.weight for chunk in chunks) == source.n_bytes
    for chunk in chunks:
        assert Chunk.from_bytes(chunk.to_bytes()) == chunk
        assert chunk.source == str(path)
        assert len(chunk.rows) + len(chunk.problems) <= chosen.shard_rows
    assert list(cut_unfinished([source], chosen, names[::2])) == chunks[1::2]
    return chunks


def parse(chunks: Sequence[Chunk], chosen: AnnotateSettings) -> list[TextRow]:
    rows = []
    for chunk in chunks:
        parsed = list(parse_rows(chunk, chosen, VOCAB, 1_000_000))
        assert 0 < len(parsed) <= chosen.shard_rows or chunk.n_empty
        rows.extend(parsed)
    assert all(isinstance(row, TextRow) for row in rows), rows
    return rows


def list_texts(rows: Sequence[TextRow]) -> list[str]:
    return [row.text if isinstance(row.text, str) else row.text.text for row in rows]


def write(folder: str, name: str, content: bytes, cut_at: int) -> Path:
    """Write a file; a compressed one in two parts, one after the other."""
    path = Path(folder, name)
    parts = content[:cut_at], content[cut_at:]
    path.write_bytes(b"".join(compress(part, path.suffix) for part in parts))
    return path


compressed = st.tuples(st.sampled_from(COMPRESSIONS), st.integers(0, 200))


@given(
    st.lists(line_texts, min_size=1, max_size=3), settings, compressed, st.sampled_from(["\n", "\r\n"]), st.booleans()
)
def test_every_line_of_text_once_and_in_order(blocks, chosen, how, newline, is_whole) -> None:
    suffix, cut_at = how
    # An empty line and one of blanks after each block.
    lines = [line for block in blocks for line in (*block, "", " \t")]
    content = newline.join(["\ufeffa", *lines, "z"]) + newline * is_whole
    with TemporaryDirectory() as folder:
        chunks = cut(write(folder, f"a.txt{suffix}", content.encode(), cut_at), chosen)
    rows = parse(chunks, chosen)
    expected = [
        (number, remove_marks(line)) for number, line in enumerate(["a", *lines, "z"], start=1) if line.strip(" \t")
    ]
    assert [(row.line, row.text) for row in rows] == expected
    assert sum(chunk.n_empty for chunk in chunks) == 2 * len(blocks)


@given(texts, settings, compressed, st.booleans())
def test_every_object_once_and_in_order(written, chosen, how, has_bom) -> None:
    suffix, cut_at = how
    objects = [{"text": text, "id": number} for number, text in enumerate(written)]
    content = b"\xef\xbb\xbf" * has_bom + format_jsonl(objects)
    with TemporaryDirectory() as folder:
        rows = parse(cut(write(folder, f"a.jsonl{suffix}", content, cut_at), chosen), chosen)
    assert [row.columns for row in rows] == objects
    assert list_texts(rows) == written


@given(texts, settings, compressed, st.sampled_from(["csv", "tsv"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_row_of_cells_once_and_in_order(written, chosen, how, kind, newline, has_bom) -> None:
    suffix, cut_at = how
    # A mark at the start of a row is no part of its first cell: files are joined with their marks.
    rows = [{"text": text.lstrip("\ufeff"), "id": str(n), "again": text} for n, text in enumerate(written)]
    content = b"\xef\xbb\xbf" * has_bom + format_delimited(rows, "\t" if kind == "tsv" else ",", newline)
    with TemporaryDirectory() as folder:
        found = parse(cut(write(folder, f"a.{kind}{suffix}", content, cut_at), chosen), chosen)
    assert [row.columns for row in found] == rows


@pytest.mark.parametrize("kind", ["spacy", "parquet"])
@effort(max_examples=30)
@given(written=texts, chosen=settings)
def test_every_row_of_a_table_once_and_in_order(kind, written, chosen) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    with TemporaryDirectory() as folder:
        path = write_rows(Path(folder, f"a.{kind}"), [{"text": text} for text in written])
        rows = parse(cut(path, chosen), chosen)
    assert [row.line for row in rows] == list(range(1, len(written) + 1))
    assert list_texts(rows) == written


def test_one_file_after_the_other(tmp_path) -> None:
    paths = [str(write_rows(tmp_path / f"{name}.txt", [{"text": name}] * 3)) for name in "ba"]
    sources = find_inputs(paths).sources
    chunks = list(cut_unfinished(sources, AnnotateSettings(shard_rows=2), {"part-00000-000000"}))
    assert [chunk.shard for chunk in chunks] == ["part-00000-000001", "part-00001-000000", "part-00001-000001"]
    assert [chunk.source for chunk in chunks] == [paths[0], paths[1], paths[1]]
