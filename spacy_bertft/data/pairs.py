"""Pairs of texts in one `Doc`: premise and hypothesis, question and answer, two versions of a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.char_spans import CharSpanGroup, read_char_spans
from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.errors import DataError, shorten

# ASCII's "unit separator". It is part of the text, so that the component `text_pair` can mark a document that is made
# from the text again, as spaCy's corpus reader does.
SEPARATOR = "\x1f"
SEGMENTS = "text_pair"

Segment = tuple[int, int]


def make_pair(nlp: Language, first: str, second: str) -> Doc:
    r"""Make a document of two texts.

    Its text is the first, U+001F and the second; `doc.spans["text_pair"]` holds the two, which `DocBin` keeps. In a
    pipeline that begins with the component `text_pair`, `nlp(first + "\x1f" + second)` is the same.

    Args:
        nlp: Its tokenizer is used.
        first: The first text.
        second: The second text.

    Raises:
        DataError: A text holds U+001F, or no token; both are longer than spaCy takes; or a token is of both.

    Example:
        >>> import spacy
        >>> doc = make_pair(spacy.blank("en"), "He left early.", "He went away.")
        >>> [segment.text for segment in doc.spans["text_pair"]]
        ['He left early.', 'He went away.']
    """
    for text in (first, second):
        if SEPARATOR in text or not text.strip():
            raise DataError(
                f"{shorten(repr(text))} cannot be one of a pair: it holds U+001F, or nothing but whitespace."
            )
    return mark_pair(make_exact_doc(nlp, f"{first}{SEPARATOR}{second}"))


def mark_pair(doc: Doc) -> Doc:
    """Mark a document as a pair in `doc.spans["text_pair"]` if its text is two texts around the only U+001F.

    A document that is marked already stays as it is, and so does one with nothing but whitespace on one side.

    Raises:
        DataError: A token holds characters of both texts.
    """
    text = doc.text
    if SEGMENTS not in doc.spans and text.count(SEPARATOR) == 1 and all(texts := _strip(text, _split(text))):
        spans = [doc.char_span(*segment, alignment_mode="contract") for segment in _split(text)]
        found = [span for span in spans if span is not None]
        if [span.text.strip() for span in found] != texts:
            raise DataError(
                "The tokenizer joins the texts of a pair. Expected tokens that end at U+001F, as spaCy's do."
            )
        doc.spans[SEGMENTS] = CharSpanGroup(doc, name=SEGMENTS, spans=found)
    return doc


def is_unmarked_pair(doc: Doc) -> bool:
    """Tell whether a text with one U+001F is not marked as a pair, and so is read as a single text."""
    return SEGMENTS not in doc.spans and doc.text.count(SEPARATOR) == 1


def find_segments(doc: Doc, text: str) -> tuple[Segment, Segment] | None:
    """Find the two texts of a pair, as half-open ranges of characters; None for a single text.

    Only `doc.spans["text_pair"]` makes a pair. A span leaves out a space next to U+001F, which some tokenizers read: if
    nothing else is missing, the two texts are all that is before and after the only U+001F.

    Args:
        doc: The document.
        text: Its text, which takes time to make.

    Raises:
        DataError: The span group holds anything but two spans, one after the other.
    """
    ranges = find_marked(doc)
    if ranges is None:
        return None
    if len(ranges) != 2 or ranges[0][1] > ranges[1][0]:
        raise DataError(f"doc.spans['{SEGMENTS}'] holds {list(ranges)}. Expected two spans, one after the other.")
    if text.count(SEPARATOR) == 1 and _strip(text, _split(text)) == _strip(text, ranges):
        return _split(text)
    return ranges[0], ranges[1]


def find_marked(doc: Doc) -> tuple[Segment, ...] | None:
    """Find the ranges of characters in `doc.spans["text_pair"]`, whatever they are; None if there is no such group."""
    if SEGMENTS not in doc.spans:
        return None
    return tuple((span.char_start, span.char_end) for span in read_char_spans(doc.spans[SEGMENTS]))


def _strip(text: str, segments: Iterable[Segment]) -> list[str]:
    return [text[start:end].strip() for start, end in segments]


def _split(text: str) -> tuple[Segment, Segment]:
    middle = text.index(SEPARATOR)
    return (0, middle), (middle + 1, len(text))
