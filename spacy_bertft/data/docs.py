"""`.spacy` files → Docs, and texts → Docs with exactly that text, by the tokenizer of a language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_bertft.data.files import check_is_file
from spacy_bertft.errors import DataError, SettingError, shorten

_BY_DOC = ("tokens", "spaces", "cats", "span_groups", "flags", "user_data")  # what a DocBin lists by document


def make_blank(lang: str) -> Language:
    """Make the tokenizer and the vocabulary of a language.

    Raises:
        SettingError: spaCy does not know the language, or lacks a package for it.
    """
    try:
        return spacy.blank(lang)
    except (ImportError, AttributeError) as error:
        # spaCy imports whatever module of its own has the name; and some languages need packages of their own.
        reason = shorten(" ".join(str(error).split()))
        raise SettingError("lang", lang, f"a language code that spaCy can use, such as en or xx ({reason})") from error


def make_exact_doc(nlp: Language, text: str) -> Doc:
    """Tokenize a text.

    Raises:
        DataError: It is longer than spaCy takes, or the tokenizer would change it.
    """
    if len(text) > nlp.max_length:
        raise DataError(f"the text has {len(text):,} characters. spaCy takes {nlp.max_length:,}; cut it into several.")
    doc = nlp.make_doc(text)
    if doc.text != text:
        raise DataError(f"the tokenizer of {nlp.lang!r} changes the text. Pass --lang with another language.")
    return doc


def choose_spans_key(kind: str, spans_key: str | None) -> str | None:
    """Return the group in `doc.spans` that spans go to; None for what is no span.

    Raises:
        SettingError: There is a key and no spans.
    """
    if kind != "spans" and spans_key is not None:
        raise SettingError("spans_key", spans_key, f"none with --as {kind}: it is for --as spans")
    return (spans_key or "sc") if kind == "spans" else None


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Read the Docs of a `.spacy` file.

    Raises:
        DataError: There is no such file, it is another one, or a Doc in it cannot be read.
    """
    check_is_file(path)
    try:
        doc_bin = parse_docs(path.read_bytes())
    except DataError as error:
        raise DataError(f"{path}: not a .spacy file; {error}") from error
    for number, doc in enumerate(unpack_docs(doc_bin, vocab), start=1):
        if isinstance(doc, DataError):
            raise DataError(f"{path}, document {number}: {doc}") from doc
        yield doc


def parse_docs(content: bytes) -> DocBin:
    """Parse what `DocBin.to_bytes` made.

    Raises:
        DataError: It is something else. spaCy itself checks little, and raises whatever it stumbles over.
    """
    try:
        doc_bin = DocBin().from_bytes(content)
        _check_whole(doc_bin)
    except Exception as error:
        raise _explain("the file holds no Docs", error) from error
    return doc_bin


def slice_docs(doc_bin: DocBin, start: int, end: int) -> DocBin:
    """Take some of the Docs, with all that is stored of them."""
    part = DocBin(store_user_data=True)
    part.attrs = doc_bin.attrs
    for name in _BY_DOC:
        setattr(part, name, getattr(doc_bin, name)[start:end])
    part.strings = doc_bin.strings
    return part


def unpack_docs(doc_bin: DocBin, vocab: Vocab) -> Iterator[Doc | DataError]:
    """Unpack Docs one by one.

    Args:
        doc_bin: The Docs.
        vocab: Their vocabulary.

    Yields:
        Each Doc, or why it cannot be read: what is stored of it does not fit together.
    """
    number, n_docs = 0, len(doc_bin)
    docs = doc_bin.get_docs(vocab)
    while number < n_docs:
        try:
            yield _take(docs)
        except DataError as error:
            yield error
            # Its strings are in the vocabulary by now.
            rest = slice_docs(doc_bin, number + 1, n_docs)
            rest.strings = set()
            docs = rest.get_docs(vocab)
        number += 1


def _take(docs: Iterator[Doc]) -> Doc:
    try:
        doc = next(docs)
        _check_doc(doc)
    except Exception as error:
        raise _explain("the document cannot be read", error) from error
    return doc


def _check_whole(doc_bin: DocBin) -> None:
    if not all(isinstance(string, str) for string in doc_bin.strings):
        raise ValueError("something else than a string among the strings")
    for name in _BY_DOC:
        found = len(getattr(doc_bin, name))
        if found != len(doc_bin) or not isinstance(getattr(doc_bin, name), list):
            raise ValueError(f"{found} {name} of {len(doc_bin)} documents")


def _check_doc(doc: Doc) -> None:
    """Look up what spaCy looks up only when somebody asks for it."""
    doc.text.encode("utf-8")
    for token in doc:
        _ = token.tag_, token.ent_type_
    _ = doc.ents
    for label, value in doc.cats.items():
        if not isinstance(label, str) or not isinstance(value, (int, float)):
            raise ValueError(f"the category {label!r} is {value!r}")
    for group in doc.spans.values():
        for span in group:
            if not 0 <= span.start <= span.end <= len(doc):
                raise ValueError(f"a span from token {span.start} to {span.end} of {len(doc)}")
            _ = span.label_


def _explain(problem: str, error: Exception) -> DataError:
    reason = shorten(" ".join(str(error).split())) or type(error).__name__
    return DataError(f"{problem} ({reason}). Expected what DocBin.to_disk wrote.")
