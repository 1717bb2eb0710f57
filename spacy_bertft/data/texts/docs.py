"""Labelled texts, and texts with spans → Docs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.data.endings import make_choice
from spacy_bertft.data.packed import WHERE
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.texts.labels import LabelledText
from spacy_bertft.data.texts.spans import SpanText
from spacy_bertft.errors import DataError, shorten

AlignmentMode = Literal["expand", "contract", "strict"]

_REJECTED = "rejected"  # the group in `doc.spans` of spans that are known to be wrong


def make_text_doc(nlp: Language, text: LabelledText, labels: Iterable[str]) -> Doc:
    """Make the Doc of a text, of a pair or of a choice.

    Args:
        nlp: Its tokenizer is used.
        text: The text.
        labels: All labels of the corpus: `doc.cats` holds every one, 0 where the text does not name it, unless nothing
            is known of it.

    Raises:
        ColumnFormatError: The text is longer than spaCy takes, its tokenizer would change it, or it cannot be one
            of a pair or of a choice.
    """
    row = text.row
    first, *others = row.parts
    kind = "a choice" if row.endings is not None else "a pair" if others else "a document"
    try:
        if row.endings is not None:
            doc = make_choice(nlp, first, others)
        else:
            doc = make_pair(nlp, first, *others) if others else make_exact_doc(nlp, first)
    except DataError as error:
        raise row.error(f"the row is not {kind}", str(error)) from error
    doc.user_data[WHERE] = (row.record.path, row.record.line)
    doc.cats = {label: text.cats.get(label, 0.0) for label in labels if text.is_complete or label in text.cats}
    return doc


def make_span_doc(nlp: Language, text: SpanText, *, key: str | None, mode: AlignmentMode, tally: Tally) -> Doc:
    """Make the Doc of a text with spans.

    Args:
        nlp: Its tokenizer is used.
        text: The text.
        key: The group in `doc.spans` for the spans; None for entities, the longest of those that overlap.
        mode: What becomes of a span that begins or ends within a token.
        tally: Counts these, and entities that overlap a longer one.

    Raises:
        ColumnFormatError: The text is longer than spaCy takes, or its tokenizer would change it.
    """
    try:
        doc = make_exact_doc(nlp, text.text)
    except DataError as error:
        raise text.record.error("the text makes no document", str(error)) from error
    doc.user_data[WHERE] = (text.record.path, text.record.line)
    spans: list[Span] = []
    unknown = list(text.unknown)
    for start, end, label in text.spans:
        span = doc.char_span(start, end, label, alignment_mode=mode)
        whole = cast(Span, doc.char_span(start, end, label, alignment_mode="expand"))
        if span is None or (span.start_char, span.end_char) != (start, end):
            found = "left out" if span is None else f"{mode}ed to whole tokens"
            where = f"{text.record.path}, line {text.record.line}: {text.text[start:end]!r} in {whole.text!r}"
            tally.note(f"spans that are not aligned with tokens, {found}", shorten(where))
            unknown.append((whole.start_char, whole.end_char))
        spans += [] if span is None else [span]
    if text.is_rejected:
        doc.spans[_REJECTED], spans = spans, []
    if key:
        doc.spans[key] = spans
        return doc
    ents = filter_spans(spans)
    unknown += [(span.start_char, span.end_char) for span in spans if span not in ents]
    tally.left_out.update({"spans that overlap a longer one (see --as spans)": len(spans) - len(ents)})
    covered = {token.i for ent in ents for token in ent}
    missing = {
        token.i: Span(doc, token.i, token.i + 1)
        for start, end in unknown
        for token in cast(Span, doc.char_span(start, end, alignment_mode="expand"))
        if token.i not in covered
    }
    doc.set_ents(ents, missing=list(missing.values()), default="outside")
    return doc
