"""Batches of examples that are equally much work for the model."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np
from spacy.training import Example

from ..checkpoints import read_tokenizer
from ..errors import SettingError
from ..pieces import cut_buckets

Batcher = Callable[[Iterable[Example]], Iterator[list[Example]]]
PieceCounter = Callable[[list[str]], list[int]]


def configure_batch_by_pieces(encoder: str, size: int = 1024, buffer: int = 2048) -> Batcher:
    """Configure `spacy-bertft.batch_by_pieces.v1`: batches by pieces, padding included.

    Args:
        encoder: Folder or hub id of the checkpoint whose tokenizer counts the pieces.
        size: Most pieces of a batch: its examples times the longest of them. A longer example is a batch of its own.
        buffer: Examples that are sorted by length together. The batches of a buffer come in random order.

    Returns:
        A function from examples to batches. Nothing is read before it is called.

    Raises:
        SettingError: `size` or `buffer` has no room for an example.
    """
    for setting, value in (("size", size), ("buffer", buffer)):
        if value < 1:
            raise SettingError(setting, value, "a positive number")
    tokenizer_of = lru_cache(maxsize=1)(read_tokenizer)

    def count_pieces(texts: list[str]) -> list[int]:
        tokenizer = tokenizer_of(encoder)
        return [n_pieces + tokenizer.n_special for n_pieces in tokenizer.count_pieces(texts)]

    return lambda examples: batch_by_pieces(examples, count_pieces, size=size, buffer=buffer)


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
