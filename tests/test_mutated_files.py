"""Real files with random changes, and odd texts in ten languages: the invariants of fuzzing hold for them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from column_files import Sentence, Style, sentences, styles
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import texts
from row_files import format_delimited, format_jsonl

from reliability.fuzz import alignment, columns, rows
from reliability.fuzz import texts as labelled_texts
from spacy_bertft.tags.grammar import SCHEMES, Scheme

pytestmark = pytest.mark.hostile

Edit = tuple[int, int, bytes]
bytes_of_choice = st.integers(0, 255).map(lambda choice: bytes([choice]))
# Where, how many bytes are taken out, and what is put in their place.
edits = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 5),
        st.sampled_from([*columns.DICTIONARY, *rows.DICTIONARY]) | st.binary(max_size=4),
    ),
    max_size=4,
)
# zstd needs the extra arrow.
choices_of_rows = st.integers(0, 255).filter(lambda choice: find_spec("pyarrow") or choice >> 2 & 3 != 2)
labels = st.sampled_from(["a", "b c", "0", ";", ' "', "\u2028"])
labelled = st.lists(st.fixed_dictionaries({"text": texts, "label": labels, "second": texts}), min_size=1, max_size=5)


def apply(edits: list[Edit], content: bytes) -> bytes:
    for at, n_bytes, new in edits:
        at %= len(content) + 1
        content = content[:at] + new + content[at + n_bytes :]
    return content


def format_rows(written: list[dict[str, str]], kind: str) -> bytes:
    if kind == "txt":
        return "".join(f"{row['text']}\n" for row in written).encode()
    if kind == "jsonl":
        return format_jsonl(written)
    return format_delimited(written, "," if kind == "csv" else "\t")


@settings(max_examples=150)
@given(bytes_of_choice, st.lists(sentences(), min_size=1, max_size=4), styles, st.sampled_from(SCHEMES), edits)
def test_changed_column_files(choice: bytes, written: list[Sentence], style: Style, scheme: Scheme, edits) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a")
        style.write(path, written, scheme)
        content = path.read_bytes()
    columns.fuzz_one(choice + apply(edits, content))


@settings(max_examples=150)
@given(st.integers(0, 255), bytes_of_choice, labelled, edits)
def test_changed_files_of_labelled_texts(choice: int, more: bytes, written: list[dict[str, str]], edits) -> None:
    kind = ("csv", "tsv", "jsonl", "jsonl")[choice & 3]
    labelled_texts.fuzz_one(bytes([choice]) + more + apply(edits, format_rows(written, kind)))


@settings(max_examples=150)
@given(choices_of_rows, labelled, edits)
def test_changed_files_of_rows(choice: int, written: list[dict[str, str]], edits) -> None:
    kind = ("txt", "jsonl", "csv", "tsv")[choice & 3]
    rows.fuzz_one(bytes([choice]) + apply(edits, format_rows(written, kind)))


# French takes seconds to make.
languages = st.integers(0, len(alignment.LANGUAGES) - 1).filter(lambda index: alignment.LANGUAGES[index] != "fr")


@settings(max_examples=200)
@given(
    st.integers(0, 127),
    languages,
    st.integers(0, 31),
    st.integers(0, 31),
    st.lists(texts | st.just("a \ud83d"), max_size=3),
)
def test_odd_texts_in_ten_languages(how: int, language: int, size: int, stride: int, batch: list[str]) -> None:
    written = b"\xfe".join(text.encode("utf-8", "surrogatepass") for text in batch)
    alignment.fuzz_one(bytes([how, language, size, stride]) + written)


@settings(max_examples=200)
@given(
    st.integers(128, 255),
    st.integers(0, 31),
    st.integers(0, 31),
    st.lists(st.lists(texts, max_size=5), max_size=3),
)
def test_documents_made_by_hand(how: int, size: int, stride: int, batch: list[list[str]]) -> None:
    written = b"\xfe".join(b"\xfd".join(word.encode() for word in words) for words in batch)
    alignment.fuzz_one(bytes([how, alignment.LANGUAGES.index("xx"), size, stride]) + written)
