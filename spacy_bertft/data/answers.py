"""Answers to questions: a span group of a pair of texts, the question and the context.

An empty group says that there is no answer; without a group, nothing is known. What begins or ends inside a token is
extended to the whole token, and `group.attrs["texts"]` keeps the answers as they were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from spacy.tokens import Doc, Span

from spacy_bertft.data.char_spans import CharSpanGroup

ANSWERS = "answers"  # the span group, unless the component has another `spans_key`


def write_answers(doc: Doc, ranges: Sequence[tuple[int, int]], key: str = ANSWERS) -> int:
    """Write gold answers.

    Args:
        doc: A pair of texts, the question and the context.
        ranges: The characters of each answer in the whole text; none if there is no answer. Of copies one is kept.
        key: The span group.

    Returns:
        How many of them begin or end inside a token.
    """
    distinct = list(dict.fromkeys(ranges))
    spans = [cast(Span, doc.char_span(start, end, alignment_mode="expand")) for start, end in distinct]
    texts = [doc.text[start:end] for start, end in distinct]
    doc.spans[key] = CharSpanGroup(doc, name=key, attrs={"texts": texts}, spans=spans)
    return sum((span.start_char, span.end_char) != each for span, each in zip(spans, distinct, strict=True))


def read_answer_texts(doc: Doc, key: str = ANSWERS) -> list[str] | None:
    """Read the texts of answers, those that were written if they are kept; None where nothing is known."""
    if key not in doc.spans:
        return None
    group = doc.spans[key]
    texts: list[str] = group.attrs.get("texts") or [span.text for span in group]
    return texts
