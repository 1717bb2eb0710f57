"""A vector of each text, out of the pass of the encoder that a head makes anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.output import EncodedDocs, ask_for
from spacy_bertft.models.heads.text import combine_windows

ReadVectors = Callable[[], NDArray[np.float32]]


@contextmanager
def watch_encoder(model: Model[list[Doc], Any]) -> Iterator[ReadVectors]:
    """Watch the encoder under a head, its own or a shared one, while the head predicts.

    The vector of a text is the mean of the states of its pieces, those of a long text weighed by the length of their
    windows.

    Args:
        model: A head over an encoder, the first of its layers.

    Yields:
        What reads the vectors of the last batch, `(B, H)`.

    Raises:
        UnsupportedError: Vectors are read of an encoder that makes no means, or before it has run.
    """
    encoder = model.layers[0]
    ask_for(encoder, "mean")
    if isinstance(encoder, SharedEncoder) and encoder.states is not None:
        ask_for(encoder.get_encoder(), "mean")
    seen: list[EncodedDocs] = []
    model.layers[0] = Model("watched_encoder", partial(_forward, encoder, seen))
    try:
        yield partial(_read_means, seen)
    finally:
        model.layers[0] = encoder


def _forward(
    encoder: Model[list[Doc], EncodedDocs], seen: list[EncodedDocs], model: Any, docs: list[Doc], is_train: bool
) -> Any:
    encoded, backprop = encoder(docs, is_train)
    seen[:] = [encoded]
    return encoded, backprop


def _read_means(seen: list[EncodedDocs]) -> NDArray[np.float32]:
    if not seen or "mean" not in seen[0].window_vectors:
        raise UnsupportedError("The encoder gives no mean of its states, so there are no vectors to compare texts by.")
    [encoded] = seen
    means = combine_windows(
        encoded.window_vectors["mean"], encoded.window_doc, encoded.window_lengths, len(encoded.lengths), "mean"
    )
    vectors: NDArray[np.float32] = means.detach().float().cpu().numpy()
    return vectors
