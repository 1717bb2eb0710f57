"""Texts without labels, from JSONL, plain text or `.spacy` files, and a share of them held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spacy.vocab import Vocab
from tqdm import tqdm

from spacy_bertft.data.docs import read_docs
from spacy_bertft.data.split import stratify
from spacy_bertft.data.texts.rows import RowTally
from spacy_bertft.data.texts.unlabelled import read_unlabelled
from spacy_bertft.errors import DataError, SettingError

_SUFFIXES = (".jsonl", ".txt", ".spacy")


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


def read_plain_texts(path: Path, column: str = "text", dev: float = 0.0, seed: int = 0) -> PlainTexts:
    """Read a file of texts, and hold some of them out.

    Args:
        path: A `.jsonl` file with a text in each line, a `.txt` file that has one text a line, or a `.spacy` file.
        column: The field of the texts in a `.jsonl` file.
        dev: Share of the texts to hold out; copies of a text stay together. 0 for none.
        seed: The same seed holds out the same texts.

    Raises:
        DataError: There is no such file, or it holds no text, or too few to hold some out.
        ColumnFormatError: A line cannot be read.
        SettingError: The file has another ending, or the share is out of range.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingError("text_path", str(path), f"a file that ends in one of {', '.join(_SUFFIXES)}")
    tally = RowTally()
    texts: list[str] = []
    for text in tqdm(_read(path, column, tally), desc="Reading", unit=" texts", disable=None):
        if text.strip():
            texts.append(text)
        else:
            tally.n_empty_texts += 1
    if not texts:
        raise DataError(f"{path}: there is no text. Expected one a line.")
    is_held_out = [0] * len(texts)
    if dev:
        is_held_out = stratify([" ".join(text.split()) for text in texts], [()] * len(texts), {"dev": dev}, seed)
    parts = [tuple(text for text, part in zip(texts, is_held_out, strict=True) if part == wanted) for wanted in (0, 1)]
    return PlainTexts(parts[0], parts[1], tally.list_left_out())


def _read(path: Path, column: str, tally: RowTally) -> Iterator[str]:
    if path.suffix.lower() == ".spacy":
        return (doc.text for doc in read_docs(path, Vocab()))
    return (unlabelled.text for unlabelled in read_unlabelled(path, column, tally))
