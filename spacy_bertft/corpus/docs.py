"""`.spacy` files → Docs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import DataError
from .lines import check_is_file


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Read the Docs of a `.spacy` file.

    Raises:
        DataError: There is no such file, or it is another one.
    """
    check_is_file(path)
    try:
        doc_bin = DocBin().from_disk(path)
    except ValueError as error:
        raise DataError(f"{path}: not a .spacy file. {error}") from error
    yield from doc_bin.get_docs(vocab)
