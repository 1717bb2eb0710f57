"""Gold sentences → spaCy Docs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.errors import SettingError


def make_gold_docs(vocab: Vocab, sentences: Iterable[GoldSentence], n_sents: int = 1) -> Iterator[Doc]:
    """Make Docs of up to `n_sents` sentences, all from one document.

    Args:
        vocab: The vocabulary of the Docs.
        sentences: The sentences, in order.
        n_sents: How many go into a Doc. From two on, the Docs know where their sentences start.

    Raises:
        SettingError: `n_sents` is below one.
    """
    if n_sents < 1:
        raise SettingError("n_sents", n_sents, "a number from 1 on")
    for _, document in groupby(sentences, key=lambda sentence: sentence.document):
        while group := list(islice(document, min(n_sents, sys.maxsize))):
            yield make_gold_doc(vocab, group, mark_sentences=n_sents > 1)


def make_gold_doc(vocab: Vocab, sentences: Sequence[GoldSentence], *, mark_sentences: bool = False) -> Doc:
    """Make one Doc of some sentences, each word followed by a blank.

    Args:
        vocab: The vocabulary of the Doc.
        sentences: At least one sentence, all of entities or all of plain tags.
        mark_sentences: Whether the Doc is to know where its sentences start.
    """
    words = [word for sentence in sentences for word in sentence.words]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    doc = Doc(
        vocab,
        words=words,
        spaces=[True] * len(words),
        tags=tags or None,
        sent_starts=_mark_starts(sentences) if mark_sentences else None,
    )
    if not tags:
        # Also where there is no entity: tokens that are known to be outside are not missing values.
        doc.set_ents(_make_spans(doc, sentences))
    return doc


def _mark_starts(sentences: Sequence[GoldSentence]) -> list[bool | int | None]:
    return [index == 0 for sentence in sentences for index in range(len(sentence.words))]


def _make_spans(doc: Doc, sentences: Sequence[GoldSentence]) -> list[Span]:
    spans: list[Span] = []
    offset = 0
    for sentence in sentences:
        spans.extend(
            Span(doc, offset + span.token_start, offset + span.token_end, label=span.label) for span in sentence.spans
        )
        offset += len(sentence.words)
    return spans
