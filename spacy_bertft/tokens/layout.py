"""Windows as the model wants them: pieces and special pieces side by side, padded on the right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacy_bertft.tokens.batch import Ints, PieceBatch
from spacy_bertft.tokens.tokenizer import PieceTokenizer
from spacy_bertft.tokens.windows import Windows


@dataclass(frozen=True)
class PaddedWindows:
    """Some windows, padded to the longest of them.

    Attributes:
        ids: `(W, P)` piece ids.
        mask: `(W, P)` 1 for a piece, 0 for padding.
        types: `(W, P)` segment ids: those of the second text of a pair are the tokenizer's, all others 0.
    """

    ids: Ints
    mask: Ints
    types: Ints


@dataclass(frozen=True)
class WindowLayout:
    """Where the pieces of a batch stand in its windows.

    A window over a single text is `[CLS] text [SEP]`, one over a pair `[CLS] first [SEP] second [SEP]`.

    Attributes:
        pieces: The pieces of a batch.
        windows: The windows over them.
        first_lengths: `(W,)` pieces of the first text of a pair, −1 for a single text.
        tokenizer: Knows the special pieces.
    """

    pieces: PieceBatch
    windows: Windows
    first_lengths: Ints
    tokenizer: PieceTokenizer

    @property
    def lengths(self) -> Ints:
        """`(W,)` pieces of each window, special pieces included; at least 1, so that it can be run."""
        return self._measure(np.arange(len(self.first_lengths)))

    def _measure(self, window: Ints) -> Ints:
        n_pieces = self.windows.piece_end[window] - self.windows.piece_start[window]
        n_middle = np.where(self.first_lengths[window] >= 0, len(self.tokenizer.middle_ids), 0)
        lengths: Ints = np.maximum(n_pieces + n_middle + self.tokenizer.n_special, 1)
        return lengths

    def find_columns(self, piece: Ints, window: Ints) -> Ints:
        """Return the column in which a piece stands in a window."""
        rank = piece - self.windows.piece_start[window]
        is_second = (self.first_lengths[window] >= 0) & (rank >= self.first_lengths[window])
        return len(self.tokenizer.prefix_ids) + rank + np.where(is_second, len(self.tokenizer.middle_ids), 0)

    def pad(self, bucket: Ints, pad_id: int) -> PaddedWindows:
        """Lay the windows of a bucket side by side.

        Args:
            bucket: Indices of windows.
            pad_id: The id of padding.
        """
        tokenizer, lengths = self.tokenizer, self._measure(bucket)
        width = int(lengths.max())
        row, piece = self._list_pieces(bucket)
        column = self.find_columns(piece, bucket[row])
        ids = np.full((len(bucket), width), pad_id, dtype=np.intp)
        types = np.zeros_like(ids)
        ids[row, column] = self.pieces.ids[piece]
        ids[:, : len(tokenizer.prefix_ids)] = tokenizer.prefix_ids
        rows = np.arange(len(bucket))[:, None]
        n_suffix = len(tokenizer.suffix_ids)
        ids[rows, lengths[:, None] - n_suffix + np.arange(n_suffix)] = tokenizer.suffix_ids
        mask = (np.arange(width) < lengths[:, None]).astype(np.intp)
        [pairs] = np.nonzero(self.first_lengths[bucket] >= 0)
        if len(pairs):
            middle = len(tokenizer.prefix_ids) + self.first_lengths[bucket][pairs]
            ids[pairs[:, None], middle[:, None] + np.arange(len(tokenizer.middle_ids))] = tokenizer.middle_ids
            is_second = np.arange(width) >= middle[:, None] + len(tokenizer.middle_ids)
            types[pairs] = np.where(is_second, tokenizer.second_type, 0) * mask[pairs]
        return PaddedWindows(ids, mask, types)

    def _list_pieces(self, bucket: Ints) -> tuple[Ints, Ints]:
        """List all pieces of some windows: the row of each in the bucket, and the piece."""
        start, end = self.windows.piece_start[bucket], self.windows.piece_end[bucket]
        row = np.repeat(np.arange(len(bucket)), end - start)
        first = np.cumsum(end - start) - (end - start)
        return row, np.arange(len(row)) - first[row] + start[row]
