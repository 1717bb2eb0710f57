"""What crosses the seam between an encoder and a head."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Pooling = Literal["first", "mean", "max"]
Output = Literal["tokens", "first", "mean", "max"]
OUTPUTS = ("tokens", "first", "mean", "max")


@dataclass(frozen=True)
class EncodedDocs:
    """The states of a batch of documents, as far as a head has asked for them.

    Attributes:
        token_vectors: `(A, H)` float32, one row for each token that has a piece, document after document; none if no
            head asked for tokens. Tokens that share their piece, such as the characters of a Chinese word, are one row.
        token_index: `(A,)` the first token of each row, counted through the whole batch.
        token_end: `(A,)` one past its last token.
        lengths: `(B,)` rows per document.
        window_vectors: `(W, H)` float32 for each way of pooling: the state of the first piece of each window, or the
            mean or maximum over its pieces, special ones included.
        window_doc: `(W,)` the document of each window, in order; a document has at least one.
        window_lengths: `(W,)` pieces of each window, special ones included.
        n_lost: `(B,)` pieces that a pair of texts has lost, because it does not fit one window; may be empty if the
            encoder reads no pairs.
    """

    token_vectors: torch.Tensor
    token_index: NDArray  # type: ignore[type-arg]
    token_end: NDArray  # type: ignore[type-arg]
    lengths: NDArray  # type: ignore[type-arg]
    window_vectors: dict[Pooling, torch.Tensor]
    window_doc: NDArray  # type: ignore[type-arg]
    window_lengths: NDArray  # type: ignore[type-arg]
    n_lost: NDArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))  # type: ignore[type-arg]


@dataclass(frozen=True)
class EncodedGradient:
    """The gradient of a loss with respect to `EncodedDocs`; nothing where a head did not look.

    Attributes:
        token_vectors: `(A, H)`.
        window_vectors: `(W, H)` by way of pooling.
    """

    token_vectors: torch.Tensor | None = None
    window_vectors: dict[Pooling, torch.Tensor] = field(default_factory=dict)


def backprop_encoded(encoded: EncodedDocs, gradient: EncodedGradient) -> None:
    """Send a gradient back through what made the states, as far as that learns."""
    pairs = [(encoded.token_vectors, gradient.token_vectors)]
    pairs += [(encoded.window_vectors[pooling], d_vectors) for pooling, d_vectors in gradient.window_vectors.items()]
    used = [(output, d_output) for output, d_output in pairs if d_output is not None and output.requires_grad]
    if used:
        torch.autograd.backward([output for output, _ in used], [d_output for _, d_output in used])


def copy_encoded(encoded: EncodedDocs) -> EncodedDocs:
    """Copy states that were computed to predict, so that a head may learn from them."""
    pooled = {pooling: vectors.clone() for pooling, vectors in encoded.window_vectors.items()}
    return replace(encoded, token_vectors=encoded.token_vectors.clone(), window_vectors=pooled)
