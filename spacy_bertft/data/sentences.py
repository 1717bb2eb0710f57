"""The sentences of a `Doc`."""

from __future__ import annotations

from spacy.tokens import Doc

from spacy_bertft.data.pairs import SEGMENTS


def find_sentence_starts(doc: Doc) -> tuple[int, ...] | None:
    """Find the first token of each sentence in `doc.sents`; None where nothing says where sentences end.

    Tokens that a hook for `doc.sents` leaves out belong to the sentence before them. A document without tokens is one
    sentence, and so is a pair of texts.
    """
    if SEGMENTS in doc.spans:
        return (0,)
    if not doc.has_annotation("SENT_START"):
        return None
    return tuple(sorted({0, *(sentence.start for sentence in doc.sents)}))
