"""The layers of BERT and its nearest kin, for prediction only: what is left when nothing else has to be thought of.

The modules of transformers serve decoders, caches, pruned heads and much more, and pay for it with two milliseconds a
pass. Here the same modules are called one after the other. Dense layers have the layout that oneDNN likes best.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

# Where a family keeps the parts of its layers: BERT and its kin, and DistilBERT.
_PARTS = {
    "layers": ("encoder.layer", "transformer.layer"),  # within the model; the others are within a layer
    "query": ("attention.self.query", "attention.q_lin"),
    "key": ("attention.self.key", "attention.k_lin"),
    "value": ("attention.self.value", "attention.v_lin"),
    "attended": ("attention.output.dense", "attention.out_lin"),  # the dense layer over what the heads have seen
    "attended_norm": ("attention.output.LayerNorm", "sa_layer_norm"),
    "up": ("intermediate.dense", "ffn.lin1"),  # the feed-forward network
    "activation": ("intermediate.intermediate_act_fn", "ffn.activation"),
    "down": ("output.dense", "ffn.lin2"),
    "norm": ("output.LayerNorm", "output_layer_norm"),
}
_COLUMN = {"bert": 0, "camembert": 0, "electra": 0, "roberta": 0, "xlm-roberta": 0, "distilbert": 1}


class States(NamedTuple):
    """What an encoder gives.

    Attributes:
        last_hidden_state: `(W, P, H)` states after the last layer.
        hidden_states: Those before the first layer and after each; empty if nobody asked for them.
    """

    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...]


class FusedLayers(torch.nn.Module):
    """An encoder of transformers, called for predictions only. It is called as that one is.

    Args:
        bert: The encoder, of a family for which `can_fuse` holds; its modules stay in use.

    Attributes:
        config: Its configuration.
        embeddings: Its embeddings.
        layers: Its layers, as they were.
    """

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings = bert.embeddings
        self.embeddings_project = getattr(bert, "embeddings_project", torch.nn.Identity())  # ELECTRA's
        self.embeddings.dropout = torch.nn.Identity()
        names = {part: columns[_COLUMN[bert.config.model_type]] for part, columns in _PARTS.items()}
        self.layers = attrgetter(names["layers"])(bert)
        self._layers = [_FusedLayer(layer, names) for layer in self.layers]
        self._head_width = bert.config.hidden_size // bert.config.num_attention_heads
        self._has_blocks = any(isinstance(each, PackedLinear) for each in self.layers.modules())

    def forward(
        self,
        *,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        output_hidden_states: bool,
        return_dict: bool,
        **types: torch.Tensor,
    ) -> States:
        """Run the encoder.

        Args:
            input_ids: `(W, P)` piece ids, padded.
            attention_mask: `(W, P)` 1 for a piece, 0 for padding.
            output_hidden_states: Whether the states of all layers are wanted.
            return_dict: True, as in transformers.
            **types: `token_type_ids`, `(W, P)`, where the model knows segments.
        """
        states = self.embeddings_project(self.embeddings(input_ids, **types))
        shape = states.shape
        is_padding, mask = attention_mask == 0, None
        # Without padding there is no mask on a CPU. To look at it would make a GPU wait.
        if is_padding.device.type != "cpu" or bool(is_padding.any()):
            mask = torch.zeros(is_padding.shape, dtype=states.dtype, device=is_padding.device)
            mask = mask.masked_fill_(is_padding, -torch.inf)[:, None, None, :]  # (W, 1, 1, P)
        if self._has_blocks:
            states = fill_block(states.flatten(0, 1))
        kept = [states]
        for layer in self._layers:
            states = layer.run(states, mask, (*shape[:2], -1, self._head_width))
            if output_hidden_states:
                kept.append(states)
        if self._has_blocks:
            n_pieces = shape[0] * shape[1]
            states, *kept = (each[:n_pieces].view(shape) for each in (states, *kept))
        return States(states, tuple(kept) if output_hidden_states else ())


def can_fuse(bert: Any) -> bool:
    """Tell whether the layers of an encoder are known."""
    config = bert.config
    # Releases before transformers 5 also know relative positions, which the attention has to add.
    has_plain_positions = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return config.model_type in _COLUMN and has_plain_positions and not getattr(config, "is_decoder", False)


class _FusedLayer:
    """One layer; a plain object, since looking up the parts of a torch module takes time."""

    def __init__(self, layer: Any, names: dict[str, str]) -> None:
        parts = {part: attrgetter(name)(layer) for part, name in names.items() if part != "layers"}
        self._projections = [parts[name] for name in ("query", "key", "value")]
        self._add_attended, self._add_down = (_get_adder(parts[name]) for name in ("attended", "down"))
        self._up, self._activation = parts["up"], parts["activation"]
        self._attended_norm, self._norm = parts["attended_norm"], parts["norm"]

    def run(
        self, states: torch.Tensor, mask: torch.Tensor | None, heads_shape: tuple[int, int, int, int]
    ) -> torch.Tensor:
        """Run the layer.

        Args:
            states: `(W, P, H)`, or `(W · P + n, H)`, with rows at the end that belong to no piece.
            mask: What is added to the scores of keys.
            heads_shape: `(W, P, A, H / A)`.
        """
        rows = slice(None) if states.dim() == 3 else slice(heads_shape[0] * heads_shape[1])  # those of pieces
        # (W, A, P, H / A)
        query, key, value = (project(states)[rows].view(heads_shape).transpose(1, 2) for project in self._projections)
        attended = scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
        if states.dim() == 2:
            attended = fill_block(attended.flatten(0, 1))
        states = self._attended_norm(self._add_attended(attended, states))
        return self._norm(self._add_down(self._activation(self._up(states)), states))


def _get_adder(dense: torch.nn.Module) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return what runs a dense layer and adds a residual."""
    return dense.run_and_add if isinstance(dense, PackedLinear) else partial(_run_and_add, dense)


def _run_and_add(dense: torch.nn.Module, inputs: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    return dense(inputs) + residual


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
        return torch.ops.mkldnn._linear_pointwise.binary(inputs, residual, self._weight, self._bias, "add")


def fill_block(rows: torch.Tensor) -> torch.Tensor:
    """Append rows of zeros, `(n, H)`, to whole blocks of 32, or, where rows are few, of an eighth of them or less."""
    block = min(_LARGEST_BLOCK, 2 ** max(0, (len(rows) // 8).bit_length() - 1))
    n_added = -len(rows) % block
    return pad(rows, (0, 0, 0, n_added)) if n_added else rows


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
