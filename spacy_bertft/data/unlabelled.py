"""Texts without labels, one at a time or all at once, with a share of them held out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spacy.vocab import Vocab
from tqdm import tqdm

from spacy_bertft.data.docs import read_docs
from spacy_bertft.data.files import FileFormat, check_is_file, find_format
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.split import select_parts, stratify
from spacy_bertft.errors import DataError, SettingError

_FORMATS: tuple[FileFormat, ...] = ("jsonl", "csv", "tsv", "text")


@dataclass(frozen=True)
class UnlabelledText:
    """A text, and what else its row holds.

    Attributes:
        line: Line number, from 1.
        text: The text, exactly.
        meta: The other columns; if a column `meta` holds an object, its fields are among them.
    """

    line: int
    text: str
    meta: Mapping[str, object]


@dataclass(frozen=True)
class PlainTexts:
    """What a file of texts holds.

    Attributes:
        texts: The texts to learn from, exactly as they are.
        held_out: Those to measure on.
        n_left_out: Lines and texts that were left out, by reason.
    """

    texts: tuple[str, ...]
    held_out: tuple[str, ...]
    n_left_out: Mapping[str, int]


def check_unlabelled(path: Path) -> None:
    """Check that `read_unlabelled` can read a file, by its name.

    Raises:
        DataError: There is no such file.
        SettingError: Its name does not end in `.jsonl`, `.csv`, `.tsv` or `.txt`, perhaps followed by `.gz` or `.zst`.
    """
    check_is_file(path)
    if find_format(path)[0] not in _FORMATS:
        raise SettingError("texts", str(path), "a name that ends in .jsonl, .csv, .tsv or .txt (one text per line)")


def read_unlabelled(path: Path, text_column: str = "text", tally: Tally | None = None) -> Iterator[UnlabelledText]:
    """Read the texts of a file; those that are empty or nothing but whitespace are left out.

    Args:
        path: A file of JSON objects, of rows under a header, of one text per line, or `.spacy`, as its name says.
        text_column: The column of the texts.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A row cannot be read, or has no text.
    """
    tally, file_format = Tally() if tally is None else tally, find_format(path)[0] or "text"
    records = read_records(path, file_format, tally, text_column=text_column)
    if file_format == "docbin":
        docs = enumerate(read_docs(path, Vocab()), start=1)
        records = (Record(path, number, {text_column: doc.text}) for number, doc in docs)
    for record in records:
        text = record.get_text("text_column", text_column)
        if text.strip():
            others = {name: value for name, value in record.values.items() if name != text_column}
            if isinstance(meta := others.get("meta"), dict):
                del others["meta"]
                others = {**meta, **others}
            yield UnlabelledText(record.line, text, others)
        else:
            tally.left_out["rows without text"] += 1
    for note, number in tally.notes.items():
        warnings.warn(f"{path}: {note}, or write JSONL ({number:,})", stacklevel=2)


def read_plain_texts(path: Path, column: str = "text", dev: float = 0.0, seed: int = 0) -> PlainTexts:
    """Read a file of texts, and hold some of them out.

    Args:
        path: A file as for `read_unlabelled`, or a `.spacy` file.
        column: The column of the texts, where the file has columns.
        dev: Share of the texts to hold out; copies of a text stay together. 0 for none.
        seed: The same seed holds out the same texts.

    Raises:
        DataError: There is no such file, or it holds no text, or too few to hold some out.
        ColumnFormatError: A row cannot be read.
        SettingError: The name of the file says nothing about its format, or the share is out of range.
    """
    file_format, _ = find_format(path)
    if file_format not in (*_FORMATS, "docbin"):
        raise SettingError("text_path", str(path), "a file that ends in one of .jsonl, .csv, .tsv, .txt, .spacy")
    tally = Tally()
    found = tqdm(read_unlabelled(path, column, tally), desc="Reading", unit=" texts", disable=None)
    texts = [each.text for each in found]
    if not texts:
        raise DataError(f"{path}: there is no text. Expected at least one.")
    parts = [0] * len(texts)
    if dev:
        parts = stratify([" ".join(text.split()) for text in texts], [()] * len(texts), {"dev": dev}, seed)
    kept, held_out = select_parts(texts, parts, 2)
    return PlainTexts(tuple(kept), tuple(held_out), dict(tally.left_out))
