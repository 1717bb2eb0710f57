"""The order of the training data: a function of where its random numbers start, and of nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from spacy.attrs import ORTH
from spacy.training import Example

from spacy_bertft.training.randomness import RandomState, get_random_state, keep_random_state, set_random_state

Batch = list[Example]


class DataOrder:
    """Draw batches with random numbers of their own, so that what else is drawn in between does not change them.

    They start where Python's and NumPy's stand now, and are where `spacy train` would have them as long as no component
    draws any.

    Args:
        batches: Epochs and batches, as spaCy makes them; nothing is drawn of them yet.
        start: Where the random numbers start, to have the same order again.

    Attributes:
        start: Where they started.
        fingerprint: Of the words of all batches so far.
    """

    def __init__(self, batches: Iterator[tuple[int, Batch]], start: RandomState | None = None) -> None:
        self.start = start or get_random_state()
        self.fingerprint = 0
        self._batches = batches
        self._own = self.start

    def __iter__(self) -> DataOrder:
        """Return itself: there is one order only."""
        return self

    def __next__(self) -> tuple[int, Batch]:
        """Draw a batch."""
        with self._draw():
            epoch, batch = next(self._batches)
            batch = list(batch)
        for example in batch:
            self.fingerprint = zlib.crc32(example.predicted.to_array(ORTH).tobytes(), self.fingerprint)
        return epoch, batch

    @contextmanager
    def _draw(self) -> Iterator[None]:
        with keep_random_state():
            set_random_state(self._own)
            try:
                yield
            finally:
                self._own = get_random_state()
