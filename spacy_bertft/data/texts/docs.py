"""Labelled texts → spaCy Docs."""

from __future__ import annotations

from collections.abc import Iterable

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.pairs import SEPARATOR, make_pair
from spacy_bertft.data.texts.gold import LabelledText
from spacy_bertft.data.texts.rows import Row
from spacy_bertft.errors import DataError


def make_text_doc(nlp: Language, text: LabelledText, labels: Iterable[str]) -> Doc:
    """Make the Doc of a text, or of a pair.

    Args:
        nlp: Its tokenizer is used.
        text: The text.
        labels: All labels of the corpus: `doc.cats` holds every one, 0 where the text does not name it, unless nothing
            is known of it.

    Raises:
        ColumnFormatError: The text is longer than spaCy takes, its tokenizer would change it, or it cannot be one
            of a pair.
    """
    row = text.row
    exact = row.text if row.second is None else f"{row.text}{SEPARATOR}{row.second}"
    if len(exact) > nlp.max_length:
        problem = f"the text has {len(exact):,} characters"
        raise row.error(problem, f"spaCy takes {nlp.max_length:,}; cut it into several.")
    doc = nlp.make_doc(exact) if row.second is None else _make_pair(nlp, row, row.second)
    if doc.text != exact:
        raise row.error(f"the tokenizer of {nlp.lang!r} changes the text", "Pass --lang with another language.")
    doc.cats = {label: text.cats.get(label, 0.0) for label in labels if text.is_complete or label in text.cats}
    return doc


def _make_pair(nlp: Language, row: Row, second: str) -> Doc:
    try:
        return make_pair(nlp, row.text, second)
    except DataError as error:
        raise row.error("the row is not a pair", str(error)) from error
