"""Dense layers in the layout that oneDNN likes best, on a CPU."""

from __future__ import annotations

import platform

import torch

# Where BERT's kin keep a dense layer and the activation that follows it, within one module.
_ACTIVATED = {"dense": "intermediate_act_fn", "lin1": "activation"}
_GELU = ("GELU", "GELUActivation")
# oneDNN's layout of weights depends on how many rows they will be multiplied with; any other number works too.
_TYPICAL_ROWS = 1024
# oneDNN makes a kernel for every number of rows, and keeps a thousand of them; fewer numbers take less memory.
_LARGEST_BLOCK = 32


class PackedLinear(torch.nn.Module):
    """A dense layer for prediction on a CPU.

    `torch.nn.Linear` lays its weights out for oneDNN at every call, and leaves the activation to a second pass over
    the result. Here the first is done once, and the second in the same pass; torch's own compiler does it so too.

    Args:
        linear: The layer.
        is_gelu: Whether a GELU follows.
    """

    def __init__(self, linear: torch.nn.Linear, *, is_gelu: bool) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _TYPICAL_ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._activation = "gelu" if is_gelu else "none"

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Multiply, add and activate, `(…, in)` → `(…, out)`."""
        rows = inputs.flatten(0, -2)
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            fill_block(rows), self._weight, self._bias, self._activation, [], "none"
        )
        return outputs[: len(rows)].view(*inputs.shape[:-1], -1)

    def run_and_add(self, inputs: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Multiply and add, and add a residual, `(n, out)`; `n` is as `fill_block` makes it, and nothing activates."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            inputs, residual, self._weight, self._bias, "add"
        )
        return outputs


def fill_block(rows: torch.Tensor) -> torch.Tensor:
    """Append rows of zeros, `(n, H)`, to whole blocks of 32, or, where rows are few, of an eighth of them or less."""
    block = min(_LARGEST_BLOCK, 2 ** max(0, (len(rows) // 8).bit_length() - 1))
    n_added = -len(rows) % block
    return torch.nn.functional.pad(rows, (0, 0, 0, n_added)) if n_added else rows


def can_pack(weight: torch.Tensor) -> bool:
    """Tell whether dense layers can be packed, by the device and the number format of a weight."""
    # Private names of torch, which its compiler builds upon; without them the layers stay as they are.
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported")
    ops = torch.ops.mkldnn
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (weight.device.type == "cpu" and is_x86 and has_onednn and all(hasattr(ops, name) for name in names)):
        return False
    is_supported = {torch.bfloat16: ops._is_mkldnn_bf16_supported, torch.float16: ops._is_mkldnn_fp16_supported}
    return bool(is_supported.get(weight.dtype, lambda: True)())


def pack_children(parent: torch.nn.Module) -> None:
    """Pack the dense layers that a module holds itself, each with the GELU that follows it, in place."""
    for name, child in list(parent.named_children()):
        if type(child) is not torch.nn.Linear:
            continue
        activation = getattr(parent, _ACTIVATED.get(name, ""), None)
        is_gelu = type(activation).__name__ in _GELU and getattr(activation, "approximate", "none") == "none"
        setattr(parent, name, PackedLinear(child, is_gelu=is_gelu))
        if is_gelu:
            setattr(parent, _ACTIVATED[name], torch.nn.Identity())
