"""Span groups that follow their characters when the tokens of a `Doc` change."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from struct import Struct
from typing import NamedTuple, cast

import numpy as np
import srsly
from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc, Span, SpanGroup

from spacy_bertft.errors import DataError, shorten

_PACKED = Struct(">QQQllll")  # a span in SpanGroup.to_bytes: id, kb_id, label, tokens and characters from and to


class CharSpan(NamedTuple):
    """A span by its characters.

    Attributes:
        char_start: Its first character.
        char_end: One past its last character.
        label: Hash of its label.
        kb_id: Hash of its knowledge base ID.
        span_id: Hash of its ID.
    """

    char_start: int
    char_end: int
    label: int
    kb_id: int
    span_id: int


def read_char_spans(group: SpanGroup) -> list[CharSpan]:
    """Read the spans of a group by their characters, even if its token indices are stale.

    Iterating over a stale group of spaCy's gives other tokens, or raises IndexError E035.
    """
    packed = srsly.msgpack_loads(SpanGroup.to_bytes(group))["spans"]
    rows = [_PACKED.unpack(span) for span in packed]
    return [CharSpan(start, end, label, kb_id, span_id) for span_id, kb_id, label, _, _, start, end in rows]


class CharSpanGroup(SpanGroup):
    """A span group that looks up the tokens of its spans by their characters each time it is read.

    spaCy's own groups keep the token indices, which `retokenizer.merge` and `split` make stale (spaCy#12024): the spans
    are then those of other tokens, and `doc.copy()`, `doc.to_json()` and `DocBin` raise IndexError E035. A span that
    begins or ends inside a token is extended to the whole token. What is read back from bytes is a group of spaCy's.
    """

    def __iter__(self) -> Iterator[Span]:
        """Iterate over the spans, in the present tokens."""
        return iter(self._align())

    def __getitem__(self, index: int) -> Span:
        """Return a span, in the present tokens."""
        return self._align()[index]

    def copy(self, doc: Doc | None = None) -> CharSpanGroup:
        """Copy the group.

        Args:
            doc: The document to copy it to, by default its own.

        Raises:
            DataError: That document has another text.
        """
        own, target = self.doc, self.doc if doc is None else doc
        if not _have_same_text(own, target):
            raise DataError(
                f"The span group '{self.name}' of {shorten(repr(own.text))} cannot be copied to a document with "
                "another text. Expected a document with the same text."
            )
        copied = CharSpanGroup(target)
        copied.from_bytes(SpanGroup.to_bytes(self))
        copied.attrs = deepcopy(self.attrs)
        if target.vocab is not own.vocab:
            for span in read_char_spans(self):
                target.vocab.strings.add(own.vocab.strings[span.label])
        return copied

    def to_bytes(self) -> bytes:
        """Write the spans, in the present tokens."""
        aligned = SpanGroup(self.doc, name=self.name, attrs=self.attrs, spans=self._align())
        content: bytes = aligned.to_bytes()
        return content

    def _align(self) -> list[Span]:
        doc = self.doc
        return [
            cast(Span, doc.char_span(start, end, label, kb_id, span_id=span_id, alignment_mode="expand"))
            for start, end, label, kb_id, span_id in read_char_spans(self)
        ]


def _have_same_text(left: Doc, right: Doc) -> bool:
    if np.array_equal(left.to_array([ORTH, SPACY]), right.to_array([ORTH, SPACY])):
        return True  # as in doc.copy(); making the texts takes longer
    return left.text == right.text
