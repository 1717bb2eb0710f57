"""Sentences of words with spans or tags → Docs, or what a `.spacy` file holds of these."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, islice
from operator import attrgetter

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.data.packed import WHERE, PackedDoc, pack_token
from spacy_bertft.errors import SettingError
from spacy_bertft.tags.schemes import TagSpan

# What spaCy stores of a token: where it is in an entity, and whether it starts a sentence.
_INSIDE, _OUTSIDE, _BEGINS = 1, 2, 3
_STARTS, _CONTINUES = 1, 2**64 - 1


def make_gold_docs(
    vocab: Vocab, sentences: Iterable[GoldSentence], n_sents: int = 1, spans_key: str | None = None
) -> Iterator[Doc]:
    """Make Docs of up to `n_sents` sentences, all from one document.

    Args:
        vocab: The vocabulary of the Docs.
        sentences: The sentences, in order.
        n_sents: How many go into a Doc. From two on, the Docs know where their sentences start.
        spans_key: The group in `doc.spans` for spans; by default they are entities.

    Raises:
        SettingError: `n_sents` is below one.
    """
    for group in _group_sentences(sentences, n_sents):
        yield make_gold_doc(vocab, group, mark_sentences=n_sents > 1, spans_key=spans_key)


def pack_gold_docs(
    vocab: Vocab,
    sentences: Iterable[GoldSentence],
    attrs: Sequence[int],
    n_sents: int = 1,
    spans_key: str | None = None,
) -> Iterator[PackedDoc]:
    """Pack the Docs that `make_gold_docs` makes, most of them without making them.

    Args:
        vocab: The vocabulary of the Docs that are made.
        sentences: The sentences, in order.
        attrs: What is kept of a token, its word first.
        n_sents: How many go into a Doc, at most.
        spans_key: The group in `doc.spans` for spans; by default they are entities.
    """
    for group in _group_sentences(sentences, n_sents):
        words, tags, spans = _join(group)
        columns: list[list[str] | list[int]] = []
        if tags:
            columns.append(tags)
        elif spans_key is None:
            columns += _write_ents(spans, len(words))
        if n_sents > 1:
            columns.append(
                [_STARTS if token == 0 else _CONTINUES for each in group for token in range(len(each.words))]
            )
        # Only spaCy knows the bytes of its groups.
        doc = None if spans_key is None else make_gold_doc(vocab, group, spans_key=spans_key)
        yield PackedDoc(
            words,
            b"".join(map(pack_token, words, *columns)),
            spans,
            labels=[tag for tag in tags if tag] or [span.label for span in spans],
            tags=tags,
            groups=doc.spans.to_bytes() if doc else b"",
            where=group[0].where,
        )


def _group_sentences(sentences: Iterable[GoldSentence], n_sents: int) -> Iterator[list[GoldSentence]]:
    if n_sents < 1:
        raise SettingError("n_sents", n_sents, "a number from 1 on")
    for _, document in groupby(sentences, key=attrgetter("document")):
        while group := list(islice(document, min(n_sents, sys.maxsize))):
            yield group


def _write_ents(spans: Sequence[TagSpan], n_tokens: int) -> tuple[list[int], list[str]]:
    """Write entities as spaCy's codes, whether a token begins, continues or is outside of one, and labels."""
    codes, labels = [_OUTSIDE] * n_tokens, [""] * n_tokens
    for start, end, label in spans:
        codes[start:end] = [_BEGINS, *[_INSIDE] * (end - start - 1)]
        labels[start:end] = [label] * (end - start)
    return codes, labels


def make_gold_doc(
    vocab: Vocab, sentences: Sequence[GoldSentence], *, mark_sentences: bool = False, spans_key: str | None = None
) -> Doc:
    """Make one Doc of some sentences, each word followed by a blank.

    Args:
        vocab: The vocabulary of the Doc.
        sentences: At least one sentence, all of entities or all of plain tags.
        mark_sentences: Whether the Doc is to know where its sentences start.
        spans_key: The group in `doc.spans` for spans, also where there is none; by default they are entities.
    """
    words, tags, gold = _join(sentences)
    starts: list[bool | int | None] | None = None
    if mark_sentences:
        starts = [token == 0 for sentence in sentences for token in range(len(sentence.words))]
    doc = Doc(vocab, words=words, spaces=[True] * len(words), tags=tags or None, sent_starts=starts)
    doc.user_data[WHERE] = sentences[0].where
    spans = [Span(doc, start, end, label=label) for start, end, label in gold]
    if spans_key is not None:
        doc.spans[spans_key] = spans
    elif not tags:
        # Also where there is no entity: tokens that are known to be outside are not missing values.
        doc.set_ents(spans)
    return doc


def _join(sentences: Sequence[GoldSentence]) -> tuple[list[str], list[str], list[TagSpan]]:
    """Join the words, the tags and the spans of sentences."""
    if len(sentences) == 1:
        return sentences[0].words, sentences[0].tags, sentences[0].spans
    words = [word for sentence in sentences for word in sentence.words]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    starts = accumulate((len(sentence.words) for sentence in sentences), initial=0)
    spans = [
        TagSpan(offset + start, offset + end, label)
        for offset, sentence in zip(starts, sentences, strict=False)
        for start, end, label in sentence.spans
    ]
    return words, tags, spans
