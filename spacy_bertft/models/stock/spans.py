"""States of every piece of a batch of spans, in one grid, as spacy-transformers lays them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from spacy.tokens import Doc, Span

from spacy_bertft.models.encoder.forward import gather_states
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, WindowLayout, plan_windows
from spacy_bertft.tokens.alignment import Ints

GetSpans = Callable[[list[Doc]], list[list[Span]]]


@dataclass(frozen=True)
class SpanGrid:
    """Where the pieces of spans stand in a grid of `S` rows and `P` columns, special pieces included.

    Attributes:
        pieces: The pieces of the spans.
        ids: `(S, P)` piece ids, padded.
        lengths: `(S,)` pieces of each row, special ones included.
        layout: The windows over them; one a span, unless it is longer than the model can number.
        window: `(C,)` the window that answers for each cell of the grid that is no padding, row after row.
        column: `(C,)` the column there.
    """

    pieces: PieceBatch
    ids: Ints
    lengths: Ints
    layout: WindowLayout
    window: Ints
    column: Ints

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self.ids.shape[1])

    @property
    def cells(self) -> Ints:
        """`(C,)` the cells that are no padding, counted through the grid."""
        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        first = np.cumsum(self.lengths) - self.lengths
        return row * self.width + np.arange(len(row)) - first[row]


def plan_grid(pieces: PieceBatch, tokenizer: PieceTokenizer, size: int, stride: int, pad_id: int) -> SpanGrid:
    """Lay the pieces of spans out.

    Args:
        pieces: The pieces, special ones left out.
        tokenizer: Knows the special pieces.
        size: Pieces of a window, special pieces left out.
        stride: Pieces from one window to the next.
        pad_id: The id of padding.
    """
    windows = plan_windows(pieces.lengths, size, stride)
    layout = WindowLayout(pieces, windows, np.full(len(windows.sequence), -1, dtype=np.intp), tokenizer)
    n_spans, n_prefix = len(pieces.lengths), len(tokenizer.prefix_ids)
    lengths = pieces.lengths + tokenizer.n_special
    row = np.repeat(np.arange(n_spans), lengths)
    column = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    piece = (np.cumsum(pieces.lengths) - pieces.lengths)[row] + column - n_prefix
    is_prefix, is_suffix = column < n_prefix, column >= n_prefix + pieces.lengths[row]
    is_piece = ~is_prefix & ~is_suffix
    last_window = np.searchsorted(windows.sequence, np.arange(n_spans), side="right") - 1
    window = np.where(is_prefix, np.searchsorted(windows.sequence, np.arange(n_spans))[row], last_window[row])
    window[is_piece] = windows.find_owners(piece[is_piece])
    inside = np.where(is_prefix, column, layout.lengths[window] - (lengths[row] - column))
    inside[is_piece] = layout.find_columns(piece[is_piece], window[is_piece])
    ids = np.full((n_spans, int(lengths.max(initial=0))), pad_id, dtype=np.intp)
    ids[row[is_piece], column[is_piece]] = pieces.ids
    ids[row[is_prefix], column[is_prefix]] = np.tile(np.array(tokenizer.prefix_ids, dtype=np.intp), n_spans)
    ids[row[is_suffix], column[is_suffix]] = np.tile(np.array(tokenizer.suffix_ids, dtype=np.intp), n_spans)
    return SpanGrid(pieces, ids, lengths, layout, window, inside)


def encode_grid(module: BertModule, grid: SpanGrid, max_pieces: int) -> torch.Tensor:
    """Return the states of a grid, `(S, P, H)` float32, 0 at padding."""
    states, _ = gather_states(module, grid.layout, max_pieces, grid.window, grid.column)
    n_spans = len(grid.lengths)
    index = torch.from_numpy(grid.cells).to(states.device)
    flat = states.new_zeros(n_spans * grid.width, states.shape[1]).index_copy(0, index, states)
    return flat.view(n_spans, grid.width, states.shape[1])
