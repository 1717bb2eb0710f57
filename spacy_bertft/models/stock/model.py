"""An architecture for pipelines with spacy-transformers; this module can be imported without it.

`spacy-bertft.TransformerModel.v1` is our encoder as the model of a stock `transformer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Optional

import numpy as np
import torch
from spacy.tokens import Doc, Span
from thinc.api import Model

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.models.encoder.forward import gather_states
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.settings import EncoderSettings
from spacy_bertft.models.runtime.devices import Precision
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, WindowLayout, plan_windows
from spacy_bertft.tokens.alignment import Ints


def build_transformer_model(
    name: str,
    get_spans: GetSpans,
    tokenizer_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    transformer_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    mixed_precision: bool = False,
    grad_scaler_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    max_pieces: int = 1024,
    precision: Precision = "auto",
) -> Model[list[Doc], Any]:
    """Build a model that replaces `spacy-transformers.TransformerModel.v3` by a change of one line in a config.

    The same spans are encoded and the same subword tokens aligned, so listeners find what they learned on. They are
    run in buckets of similar length, in bfloat16 where the hardware has it, and stored as safetensors. A span with more
    subword tokens than the model has positions is encoded in windows; the stock model truncates it. States of other
    layers, attentions and the pooler's output are not given.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        get_spans: From documents to the spans of each, which are encoded separately.
        tokenizer_config: Empty, or `use_fast = true`.
        transformer_config: Must be empty.
        mixed_precision: Compute in bfloat16 where `precision` is `auto`, whatever the hardware.
        grad_scaler_config: Must be empty: bfloat16 needs no gradient scaling.
        max_pieces: Maximum subword tokens of one forward pass, padding included.
        precision: As for `spacy-bertft.BertEncoder.v1`, but not `"int8"`.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: spacy-transformers is not installed.
    """
    precision = "bf16" if mixed_precision and precision == "auto" else precision
    settings = EncoderSettings(name, max_pieces=max_pieces, precision=precision, cache_mb=0)
    if (tokenizer_config or {}) not in ({}, {"use_fast": True}):
        raise SettingError("tokenizer_config", tokenizer_config, "none but use_fast = true")
    for setting, value in (("transformer_config", transformer_config), ("grad_scaler_config", grad_scaler_config)):
        if value:
            raise SettingError(setting, value, "none: it has no meaning here")
    if find_spec("spacy_transformers") is None:
        raise MissingExtraError("spacy-bertft.TransformerModel.v1", "spacy-transformers")
    from spacy_bertft.models.stock.spacy_transformers import StockTransformer

    return StockTransformer(settings, get_spans)


GetSpans = Callable[[list[Doc]], list[list[Span]]]


@dataclass(frozen=True)
class SpanGrid:
    """Where the pieces of spans are in a grid of `S` rows and `P` columns, special pieces included.

    Attributes:
        pieces: The pieces of the spans.
        ids: `(S, P)` piece ids, padded.
        lengths: `(S,)` pieces of each row, special ones included.
        layout: The windows over them; one a span, unless it is longer than the model can number.
        window: `(C,)` the window from which each cell of the grid is read, padding left out, row after row.
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
    ids[row, column] = layout.pad(np.arange(len(windows.sequence)), pad_id).ids[window, inside]
    return SpanGrid(pieces, ids, lengths, layout, window, inside)


def encode_grid(module: BertModule, grid: SpanGrid, max_pieces: int) -> torch.Tensor:
    """Return the states of a grid, `(S, P, H)` float32, 0 at padding."""
    states, _ = gather_states(module, grid.layout, max_pieces, grid.window, grid.column)
    n_spans = len(grid.lengths)
    [cells] = np.nonzero((np.arange(grid.width) < grid.lengths[:, None]).reshape(-1))  # (C,), those without padding
    index = torch.from_numpy(cells).to(states.device)
    flat = states.new_zeros(n_spans * grid.width, states.shape[1]).index_copy(0, index, states)
    return flat.view(n_spans, grid.width, states.shape[1])
