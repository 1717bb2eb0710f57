"""The torch modules of heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spacy_bertft.tags.forward_backward import LinearChain

_N_LENGTHS = 32  # lengths in rows that have a vector of their own; longer spans share the last one
_CHUNK = 1 << 15  # candidates that are scored together, which bounds the memory of long texts
# Of a label that has not been learned: about 1 % of the candidates have it. Source: Lin et al. (2017), section 4.1.
_PRIOR_SCORE = -4.6


def make_linear(width: int, n_outputs: int, *, bias: bool = True) -> torch.nn.Linear:
    """Make a linear layer that starts as those of BERT's own heads do."""
    linear = torch.nn.Linear(width, n_outputs, bias=bias)
    torch.nn.init.normal_(linear.weight, std=0.02)
    if bias:
        torch.nn.init.zeros_(linear.bias)
    return linear


class HeadLayers(torch.nn.Module):
    """A linear layer from vectors to scores, with a dense layer before it if asked for.

    Args:
        width: Width of the vectors.
        n_outputs: How many scores there are.
        has_pooler: Whether a dense layer comes first.
        activation: What follows that layer, by its name in transformers.
        norm_eps: What the normalization after that adds to the variance; None for no normalization.
        biases: Which of dense layer (`pooler`) and normalization (`norm`) have a bias.
    """

    def __init__(
        self,
        width: int,
        n_outputs: int,
        *,
        has_pooler: bool,
        activation: str,
        norm_eps: float | None,
        biases: Sequence[str],
    ) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        self.pooler = make_linear(width, width, bias="pooler" in biases) if has_pooler else None
        self.activate = ACT2FN[activation]
        self.norm = None if norm_eps is None else torch.nn.LayerNorm(width, norm_eps, bias="norm" in biases)
        self.linear = make_linear(width, n_outputs)

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return (self.pooler or self.linear).in_features

    @property
    def n_outputs(self) -> int:
        """How many scores there are."""
        return self.linear.out_features

    def describe(self) -> dict[str, Any]:
        """Describe what is known of the layers without them."""
        return {"width": self.width, "n_outputs": self.n_outputs}

    def forward(self, states: torch.Tensor, dropout_rate: float = 0.0) -> torch.Tensor:
        """Score, `(R, H)` → `(R, L)`."""
        if self.pooler is not None:
            states = self.activate(self.pooler(states))
        if self.norm is not None:
            states = self.norm(states)
        return self.linear(torch.nn.functional.dropout(states, dropout_rate, training=dropout_rate > 0))


class TokenHead(HeadLayers):
    """Layers from states to tag scores, and the transition scores of a conditional random field.

    Args:
        width: Width of the states.
        n_tags: How many tags there are.
        has_chain: Whether transitions are learned.
        **layers: What comes before the linear layer.
    """

    def __init__(self, width: int, n_tags: int, *, has_chain: bool, **layers: Any) -> None:
        super().__init__(width, n_tags, **layers)
        if has_chain:
            # In this order the norm of all gradients is summed: another one changes the last bits of training.
            self.start = torch.nn.Parameter(torch.zeros(n_tags))
            self.transitions = torch.nn.Parameter(torch.zeros(n_tags, n_tags))
            self.end = torch.nn.Parameter(torch.zeros(n_tags))

    @property
    def chain(self) -> list[NDArray[np.float64]]:
        """The parts of a `LinearChain`, the scores of transitions; none where they are not learned."""
        parts = (getattr(self, name, None) for name in LinearChain._fields)
        return [part.detach().cpu().double().numpy() for part in parts if part is not None]

    def describe(self) -> dict[str, Any]:
        """Describe what is known of the layers without them."""
        return super().describe() | {"chain": self.chain}


class SpanHead(torch.nn.Module):
    """A hidden layer over three states of a span and its length, and a linear layer to label scores.

    The states are not concatenated for each span: what the hidden layer makes of each of them is added up.

    Args:
        width: Width of the states.
        hidden_width: Width of the hidden layer.
        n_labels: How many labels there are.
    """

    def __init__(self, width: int, hidden_width: int, n_labels: int) -> None:
        super().__init__()
        self.start = make_linear(width, hidden_width)
        self.end = make_linear(width, hidden_width)
        self.content = make_linear(width, hidden_width)
        self.length = torch.nn.Embedding(_N_LENGTHS, hidden_width)
        torch.nn.init.normal_(self.length.weight, std=0.02)
        self.norm = torch.nn.LayerNorm(hidden_width)
        self.linear = make_linear(hidden_width, n_labels)
        torch.nn.init.constant_(self.linear.bias, _PRIOR_SCORE)

    @property
    def width(self) -> int:
        """Width of the states."""
        return self.start.in_features

    @property
    def n_outputs(self) -> int:
        """How many scores there are."""
        return self.linear.out_features

    def forward(self, states: torch.Tensor, spans: NDArray[np.intp], dropout_rate: float) -> torch.Tensor:
        """Score spans, `(A, H)` states and `(N, 2)` first and last row of each → `(N, L)`."""
        states = _drop(states, dropout_rate)
        start, end, content = self.start(states), self.end(states), self.content(states)  # (A, D) each
        # Sums up to each row, in float64: differences of large sums of a long text would be inexact.
        sums = torch.nn.functional.pad(content.double().cumsum(dim=0), (0, 0, 1, 0))  # (A + 1, D)
        chunks = torch.split(torch.from_numpy(spans).to(states.device), _CHUNK)
        return torch.cat([self._score(start, end, sums, chunk, dropout_rate) for chunk in chunks])

    def _score(
        self, start: torch.Tensor, end: torch.Tensor, sums: torch.Tensor, spans: torch.Tensor, dropout_rate: float
    ) -> torch.Tensor:
        first, last = spans.unbind(dim=1)  # (N,)
        n_rows = last - first + 1
        mean = (sums.index_select(0, last + 1) - sums.index_select(0, first)) / n_rows[:, None]  # (N, D)
        length = self.length((n_rows - 1).clamp(max=_N_LENGTHS - 1))
        hidden = start.index_select(0, first) + end.index_select(0, last) + mean.to(start) + length
        hidden = torch.nn.functional.gelu(self.norm(hidden))
        return self.linear(_drop(hidden, dropout_rate))


def _drop(states: torch.Tensor, rate: float) -> torch.Tensor:
    return torch.nn.functional.dropout(states, rate, training=rate > 0)
