"""What crosses the seam between an encoder and a head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class EncodedDocs:
    """The states of a batch of documents.

    Attributes:
        token_vectors: `(A, H)` float32, one row for each token that has a piece, document after document.
        token_index: `(A,)` the token of each row, counted through the whole batch.
        lengths: `(B,)` rows per document.
        doc_vectors: `(B, H)` float32, the state of the piece that opens a document; over several windows their mean,
            weighed by length.
    """

    token_vectors: torch.Tensor
    token_index: NDArray  # type: ignore[type-arg]
    lengths: NDArray  # type: ignore[type-arg]
    doc_vectors: torch.Tensor


@dataclass(frozen=True)
class EncodedGradient:
    """The gradient of a loss with respect to `EncodedDocs`; nothing where a head did not look.

    Attributes:
        token_vectors: `(A, H)`.
        doc_vectors: `(B, H)`.
    """

    token_vectors: torch.Tensor | None = None
    doc_vectors: torch.Tensor | None = None
