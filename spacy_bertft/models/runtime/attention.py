"""Attention over short texts on a CPU."""

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
