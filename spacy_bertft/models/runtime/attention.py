"""Attention over short texts and dropout, which torch computes slowly on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# torch scores keys in vectors of 16; more than a few that are left over are scored one by one.
_VECTOR, _FEW = 16, 4
# Looking at every call of torch takes 2 ms a pass, which fewer pieces than this do not win back.
LEAST_PIECES = 512

_attend = torch.nn.functional.scaled_dot_product_attention


class AlignedAttention(TorchFunctionMode):
    """While active, attention on a CPU gets its keys in whole vectors, padded with some that nobody looks at.

    That changes no result, and takes half of the time where texts are short.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        if func is _attend:
            return attend(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **settings: Any,
) -> torch.Tensor:
    """Attend as torch's `scaled_dot_product_attention` does, to keys in whole vectors.

    Args:
        query: `(B, A, P, H)`.
        key: `(B, A, K, H)`.
        value: `(B, A, K, H)`.
        attn_mask: Spreads to `(B, A, P, K)`: true for what may be seen, or what is added to its score.
        dropout_p: Share of the attention that is dropped.
        is_causal: Whether a piece sees only those before it; then nothing is padded, as on a GPU.
        **settings: Further arguments of torch's function.

    Returns:
        `(B, A, P, H)`.
    """
    n_keys = key.shape[-2]
    n_over = n_keys % _VECTOR
    if n_over > _FEW and not is_causal and query.device.type == "cpu":
        n_added = _VECTOR - n_over
        if attn_mask is None:
            attn_mask = torch.ones(1, 1, 1, n_keys, dtype=torch.bool)
        nothing = False if attn_mask.dtype == torch.bool else -torch.inf
        attn_mask = torch.nn.functional.pad(attn_mask, (0, n_added), value=nothing)
        key, value = (_append_rows(each, n_added) for each in (key, value))
    attended: torch.Tensor = _attend(query, key, value, attn_mask, dropout_p, is_causal, **settings)
    return attended


def _append_rows(heads: torch.Tensor, n_added: int) -> torch.Tensor:
    """Append zeros, `(B, A, P, H)` → `(B, A, P + n, H)`, where the heads of a piece stand side by side in memory."""
    return torch.nn.functional.pad(heads.transpose(1, 2), (0, 0, 0, 0, 0, n_added)).transpose(1, 2)


_BITS = 16
_LOWEST = -(2 ** (_BITS - 1))


class FastDropout(torch.nn.Dropout):
    """Dropout that takes 16 random bits for a state, four states from one draw of torch's generator.

    The share that is dropped is `p` to within 1 / 131,072. Elsewhere than on a CPU it is torch's own.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Drop states while learning, and scale the others."""
        n_dropped = round(self.p * 2**_BITS)
        if not self.training or input.device.type != "cpu" or not 0 < n_dropped < 2**_BITS:
            return super().forward(input)
        dropped: torch.Tensor = _Drop.apply(input, n_dropped)  # type: ignore[no-untyped-call]
        return dropped


def speed_up_dropout(module: torch.nn.Module) -> None:
    """Replace the dropout within a module, in place."""
    for parent in module.modules():
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Dropout:
                setattr(parent, name, FastDropout(child.p))


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, n_dropped: int) -> torch.Tensor:
        n_states = states.numel()
        draws = torch.empty(-(-n_states // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = draws.view(torch.int16)[:n_states].view(states.shape)
        factors = (bits >= _LOWEST + n_dropped).to(states.dtype) * (2**_BITS / (2**_BITS - n_dropped))
        ctx.save_for_backward(factors)
        kept: torch.Tensor = states * factors
        return kept

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradient * factors, None
