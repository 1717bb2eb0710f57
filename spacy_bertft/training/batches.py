"""Batches of examples that are equally much work for the model, and short examples joined to longer ones."""

# No `from __future__ import annotations`: confection reads signatures at run time.

import random
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Optional

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import SettingError
from spacy_bertft.tokens.windows import cut_buckets
from spacy_bertft.training.swap_entities import SwapEntities

Batcher = Callable[[Iterable[Example]], Iterator[list[Example]]]
PieceCounter = Callable[[list[str]], list[int]]


def configure_batch_by_pieces(
    encoder: str,
    size: int = 1024,
    buffer: int = 2048,
    augmenter: Optional[SwapEntities] = None,  # noqa: UP045 (confection reads this at run time)
    join_level: float = 0.0,
    join_words: int = 300,
) -> Batcher:
    """Configure `spacy-bertft.batch_by_pieces.v1`: batches by their number of subword tokens, padding included.

    Args:
        encoder: Folder or hub id of the checkpoint whose tokenizer counts the subword tokens.
        size: Maximum subword tokens of a batch, padding included. A longer example is a batch of its own.
        buffer: Number of examples that are sorted by length together; their batches come in random order.
        augmenter: `spacy-bertft.swap_entities.v1`. Here it changes each example anew in every epoch; in the section of
            a corpus, which spaCy reads once, an example would be changed once and for all.
        join_level: Share of the examples that are joined to longer ones, anew in every epoch, so that the model also
            sees texts of many sentences. Examples with categories are not joined.
        join_words: Maximum tokens of a joined example.

    Returns:
        A function from examples to batches. Nothing is read before it is called.

    Raises:
        SettingError: `size`, `buffer` or `join_words` has no room for an example, or `join_level` is no share.
    """
    for setting, value in (("size", size), ("buffer", buffer), ("join_words", join_words)):
        if value < 1:
            raise SettingError(setting, value, "a positive number")
    if not 0 <= join_level <= 1:
        raise SettingError("join_level", join_level, "a share from 0 to 1")
    tokenizer_of = lru_cache(maxsize=1)(read_tokenizer)

    def count_pieces(texts: list[str]) -> list[int]:
        tokenizer = tokenizer_of(encoder)
        return [n_pieces + tokenizer.n_special for n_pieces in tokenizer.count_pieces(texts)]

    def prepare(examples: Iterable[Example]) -> Iterable[Example]:
        if augmenter is not None:
            examples = chain.from_iterable(augmenter(None, example) for example in examples)
        return join_examples(examples, level=join_level, n_words=join_words) if join_level else examples

    return lambda examples: batch_by_pieces(prepare(examples), count_pieces, size=size, buffer=buffer)


def batch_by_pieces(
    examples: Iterable[Example], count_pieces: PieceCounter, *, size: int, buffer: int
) -> Iterator[list[Example]]:
    """Group examples so that each batch, padded, holds at most `size` pieces.

    Args:
        examples: Any stream of examples; each comes out exactly once.
        count_pieces: From texts to the pieces of each, special pieces included.
        size: Most pieces of a batch.
        buffer: Examples that are sorted by length together.
    """
    stream = iter(examples)
    while chunk := list(islice(stream, buffer)):
        lengths = np.array(count_pieces([example.predicted.text for example in chunk]))
        buckets = cut_buckets(lengths, size)
        random.shuffle(buckets)
        for bucket in buckets:
            yield [chunk[index] for index in bucket]


def join_examples(examples: Iterable[Example], *, level: float, n_words: int) -> Iterator[Example]:
    """Join some of the examples to longer ones.

    Each example comes out exactly once, by itself or as part of a longer one. Those that have categories stay by
    themselves, since these are said of the whole document, and so do pairs of texts; those with other groups of spans
    are not joined, since what has no group is not annotated.

    Args:
        examples: Examples, in the order in which they are joined.
        level: Share of the examples that become part of a longer one.
        n_words: Up to how many tokens are joined; each joined example draws its own length, from 1 to this.
    """
    parts: list[Example] = []
    room = 0
    for example in examples:
        is_pair = "\x1f" in example.text  # which separates two texts
        if example.reference.cats or is_pair or random.random() >= level:
            yield example
            continue
        has_other_groups = parts and parts[0].reference.spans.keys() != example.reference.spans.keys()
        if parts and (has_other_groups or len(example.predicted) > room):
            yield _join(parts)
            parts = []
        if not parts:
            room = random.randint(1, n_words)
        parts.append(example)
        room -= len(example.predicted)
    if parts:
        yield _join(parts)


def _join(parts: list[Example]) -> Example:
    if len(parts) == 1:
        return parts[0]
    predicted, reference = ([getattr(part, side) for part in parts] for side in ("predicted", "reference"))
    return Example(Doc.from_docs(predicted), Doc.from_docs(reference))
