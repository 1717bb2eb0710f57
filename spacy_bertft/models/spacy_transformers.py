"""What binds us to spacy-transformers, the only file that imports it (extra `spacy-transformers`)."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData
from spacy_transformers.layers.listener import TransformerListener
from spacy_transformers.layers.listener import forward as stock_listen
from thinc.api import torch2xp, xp2torch
from transformers.modeling_outputs import BaseModelOutput

from .cache import join_docs
from .encoded import EncodedDocs, EncodedGradient, Output, Pooling, backprop_encoded
from .shared import Backprop, SharedEncoder
from .windowed import pool_windows


class StockListener(SharedEncoder, TransformerListener):  # type: ignore[misc]
    """A shared encoder that a stock `transformer` takes for one of its own listeners.

    A token is represented by the first piece that the stock alignment gives it, a window is one of the stock spans.
    """

    _batch_id: int | None
    _outputs: Any
    _backprop: Any

    def __init__(self, upstream_name: str) -> None:
        SharedEncoder.__init__(self, upstream_name)
        self._batch_id = self._outputs = self._backprop = None

    def find_width(self) -> int:
        """Return the width of the states, which a stock `transformer` has told."""
        if self.states is None and self.has_dim("nO"):
            return self.get_dim("nO")
        return super().find_width()

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        if self.states is not None:
            return super().listen(docs, is_train)
        datas, backprop_datas = stock_listen(self, docs, is_train)
        states = [_read_states(data, is_train) for data in datas]
        encoded = _encode(docs, datas, states, self.attrs["outputs"] or ["tokens"], self.get_dim("nO"))

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            backprop_encoded(encoded, gradient)
            # Like the stock listeners, leave out documents without tokens.
            learned = [(data, each) for data, each in zip(datas, states, strict=True) if each is not None]
            backprop_datas([_wrap(data, each, self.attrs["grad_factor"]) for data, each in learned])
            return []

        return encoded, backprop


def _read_states(data: TransformerData, is_train: bool) -> torch.Tensor | None:
    """Return the states of a document, `(W, P, H)`; nothing where it has no token."""
    if "last_hidden_state" not in data.model_output:
        return None
    states: torch.Tensor = xp2torch(data.model_output.last_hidden_state).detach()
    return states.requires_grad_(is_train) if states.numel() else None


def _wrap(data: TransformerData, states: torch.Tensor, grad_factor: float) -> TransformerData:
    """Put the gradient of states into what the stock component takes it from."""
    gradient = torch.zeros_like(states) if states.grad is None else states.grad * grad_factor
    output = BaseModelOutput(last_hidden_state=cast(Any, torch2xp(gradient)))
    return TransformerData(wordpieces=data.wordpieces, model_output=output, align=data.align)


def _encode(
    docs: list[Doc], datas: list[TransformerData], states: list[torch.Tensor | None], outputs: list[Output], width: int
) -> EncodedDocs:
    parts = [_encode_one(data, each, outputs, width) for data, each in zip(datas, states, strict=True)]
    if not parts:
        poolings: list[Pooling] = [output for output in outputs if output != "tokens"]
        none, nothing = torch.zeros(0, width), np.zeros(0, dtype=np.intp)
        return EncodedDocs(none, nothing, nothing, dict.fromkeys(poolings, none), nothing, nothing)
    return join_docs(parts, docs)


def _encode_one(data: TransformerData, states: torch.Tensor | None, outputs: list[Output], width: int) -> EncodedDocs:
    if states is None:
        # A document without tokens has a window all the same, as with an encoder of ours.
        states, mask = torch.zeros(1, 1, width), torch.ones(1, 1, dtype=torch.long)
        answered = piece = np.zeros(0, dtype=np.intp)
    else:
        pieces = np.asarray(data.wordpieces.attention_mask)[:, : states.shape[1]]
        mask = torch.as_tensor(pieces, device=states.device).long()
        answered, piece = _find_first_pieces(data) if "tokens" in outputs else np.zeros((2, 0), dtype=np.intp)
    return EncodedDocs(
        token_vectors=states.flatten(0, 1).index_select(0, torch.from_numpy(piece).to(states.device)),
        token_index=answered,
        lengths=np.array([len(answered)], dtype=np.intp),
        window_vectors={output: pool_windows(states, mask, output) for output in outputs if output != "tokens"},
        window_doc=np.zeros(len(states), dtype=np.intp),
        window_lengths=mask.sum(dim=1).cpu().numpy().astype(np.intp),
    )


def _find_first_pieces(data: TransformerData) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the tokens of a document that have a piece, and the first piece of each, counted through its windows."""
    lengths = np.asarray(data.align.lengths, dtype=np.intp)
    first = np.cumsum(lengths) - lengths
    answered = np.flatnonzero(lengths)
    return answered, np.asarray(data.align.dataXd).reshape(-1).astype(np.intp)[first[answered]]
