"""A vector of each text, from the pass of the encoder that a head makes anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.output import EncodedDocs
from spacy_bertft.models.heads.head import HeadModel, watch_states
from spacy_bertft.models.heads.text import combine_windows

ReadVectors = Callable[[], NDArray[np.float32]]


@contextmanager
def watch_encoder(model: HeadModel[Any]) -> Iterator[ReadVectors]:
    """Watch the encoder under a head, its own or a shared one, while the head predicts.

    The vector of a text is the mean of the states of its pieces, those of a long text weighed by the length of their
    windows.

    Args:
        model: A head over an encoder.

    Yields:
        What reads the vectors of the last batch, `(B, H)`.

    Raises:
        UnsupportedError: Vectors are read of an encoder that makes no means, or before it has run.
    """
    model.encoder.require("mean")
    with watch_states() as seen:
        yield lambda: _combine_means(seen)


def _combine_means(seen: list[EncodedDocs]) -> NDArray[np.float32]:
    if not seen or "mean" not in seen[-1].window_vectors:
        raise UnsupportedError("The encoder gives no mean of its states, so there are no vectors to compare texts by.")
    encoded = seen[-1]
    means = combine_windows(
        encoded.window_vectors["mean"], encoded.window_doc, encoded.window_lengths, len(encoded.lengths), "mean"
    )
    vectors: NDArray[np.float32] = means.detach().float().cpu().numpy()
    return vectors
