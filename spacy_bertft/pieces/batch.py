"""What crosses from text to model: pieces, tokens and the alignment between them, all as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class PieceBatch:
    """The pieces of a batch of texts, text after text, without special pieces.

    Attributes:
        ids: `(P,)` vocabulary ids.
        char_start: `(P,)` first character of each piece in its text.
        char_end: `(P,)` one past its last character; equal to `char_start` for a piece that stands for no character.
        lengths: `(B,)` pieces per text.
    """

    ids: Ints
    char_start: Ints
    char_end: Ints
    lengths: Ints


@dataclass(frozen=True)
class TokenBatch:
    """The tokens of a batch of texts, text after text.

    Attributes:
        char_start: `(T,)` first character of each token in its text.
        char_end: `(T,)` one past its last character.
        lengths: `(B,)` tokens per text.
    """

    char_start: Ints
    char_end: Ints
    lengths: Ints


@dataclass(frozen=True)
class Alignment:
    """Which piece stands for which token.

    Attributes:
        piece_by_token: `(T,)` flat index of the first piece of each token, −1 where it has none.
    """

    piece_by_token: Ints
