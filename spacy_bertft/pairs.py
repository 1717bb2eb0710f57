"""Pairs of texts in one `Doc`: premise and hypothesis, question and answer, two versions of a sentence."""

from __future__ import annotations

from spacy.language import Language
from spacy.tokens import Doc, SpanGroup

from .errors import DataError, shorten

# ASCII's "unit separator". It stands in the text itself, so that whoever tokenizes the text again, as spaCy's corpus
# reader and `spacy evaluate` do, still has a pair.
SEPARATOR = "\x1f"
SEGMENTS = "text_pair"

Segment = tuple[int, int]


def make_pair(nlp: Language, first: str, second: str) -> Doc:
    r"""Make a document of two texts.

    Its text is the first, U+001F and the second; `doc.spans["text_pair"]` holds the two, which `DocBin` keeps.
    `nlp(first + "\x1f" + second)` is the same to our components.

    Args:
        nlp: Its tokenizer is used.
        first: The first text.
        second: The second text.

    Raises:
        DataError: A text holds U+001F, or no token.

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
    doc = nlp.make_doc(f"{first}{SEPARATOR}{second}")
    spans = (doc.char_span(*segment, alignment_mode="contract") for segment in _part(doc.text))
    doc.spans[SEGMENTS] = SpanGroup(doc, name=SEGMENTS, spans=[span for span in spans if span is not None])
    return doc


def find_segments(doc: Doc, text: str) -> tuple[Segment, Segment] | None:
    """Find the two texts of a document, as half-open ranges of characters; nothing where it is a single text.

    They are what stands before and after the only U+001F, or else the two spans of `doc.spans["text_pair"]`. Spans
    alone do for prediction; spaCy's corpus reader makes documents to train on from the text.

    Args:
        doc: The document.
        text: Its text, which takes time to make.

    Raises:
        DataError: The span group holds anything but two spans, one after the other.
    """
    if text.count(SEPARATOR) == 1:
        return _part(text)
    ranges = find_marked(doc)
    if ranges is None:
        return None
    if len(ranges) != 2 or ranges[0][1] > ranges[1][0]:
        raise DataError(f"doc.spans['{SEGMENTS}'] holds {list(ranges)}. Expected two spans, one after the other.")
    return ranges[0], ranges[1]


def find_marked(doc: Doc) -> tuple[Segment, ...] | None:
    """Find the ranges of characters in `doc.spans["text_pair"]`, whatever they are; nothing where there is none."""
    if SEGMENTS not in doc.spans:
        return None
    return tuple((span.start_char, span.end_char) for span in doc.spans[SEGMENTS])


def _part(text: str) -> tuple[Segment, Segment]:
    middle = text.index(SEPARATOR)
    return (0, middle), (middle + 1, len(text))
