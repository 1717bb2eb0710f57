"""The layers of BERT and its nearest kin, for prediction only: what is left when nothing else has to be thought of.

The modules of transformers serve decoders, caches, pruned heads and much more, and pay for it with two milliseconds a
pass. Here the same modules are called one after the other. Dense layers have the layout that oneDNN likes best.
"""

from __future__ import annotations

import platform
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

# Where a family keeps its layers, and these their parts: BERT and its kin, and DistilBERT.
_LAYERS = ("encoder.layer", "transformer.layer")
_PARTS = {
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
        self.config, self.embeddings = bert.config, bert.embeddings
        self.embeddings_project = getattr(bert, "embeddings_project", torch.nn.Identity())  # ELECTRA's
        self.embeddings.dropout = torch.nn.Identity()
        column = _COLUMN[bert.config.model_type]
        self.layers = attrgetter(_LAYERS[column])(bert)
        parts = {name: attrgetter(paths[column]) for name, paths in _PARTS.items()}
        # Plain objects, since looking up the parts of a torch module takes time.
        self._layers = [SimpleNamespace(**{name: get(layer) for name, get in parts.items()}) for layer in self.layers]
        for each in self._layers:
            each.attended, each.down = _get_adder(each.attended), _get_adder(each.down)
        self._head_width = bert.config.hidden_size // bert.config.num_attention_heads
        is_packed = any(isinstance(each, PackedLinear) for each in self.layers.modules())
        self._fill = fill_block if is_packed else lambda rows: rows
        is_half = next(bert.parameters()).dtype in (torch.bfloat16, torch.float16)
        self._choose_rows = choose_rows if is_packed and is_half else lambda n_windows, n_pieces: (1, n_pieces)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool, return_dict: bool, **types: Tensor
    ) -> SimpleNamespace:
        """Run the encoder.

        Args:
            input_ids: `(W, P)` piece ids, padded.
            attention_mask: `(W, P)` 1 for a piece, 0 for padding.
            output_hidden_states: Whether the states of all layers are wanted.
            return_dict: True, as in transformers.
            **types: `token_type_ids`, `(W, P)`, where the model knows segments.

        Returns:
            `last_hidden_state`, `(W, P, H)`, and `hidden_states`, where they are wanted: those before the first layer
            and after each.
        """
        states = self.embeddings_project(self.embeddings(input_ids, **types))
        (n_windows, n_pieces), width = input_ids.shape, states.shape[-1]
        n_beside, length = self._choose_rows(n_windows, n_pieces)
        is_piece, mask = lay_side_by_side(attention_mask[:, :, None] == 1, n_beside, length, True), None
        # Without padding there is no mask on a CPU. To look at it would make a GPU wait.
        if length > n_pieces or is_piece.device.type != "cpu" or not bool(is_piece.all()):
            window = torch.arange(length, device=is_piece.device) // n_pieces
            is_seen = is_piece[:, None, None, :, 0]  # (R, 1, 1 or L, L)
            is_seen = is_seen & (window[:, None] == window) if length > n_pieces else is_seen
            mask = torch.where(is_seen, 0.0, -torch.inf).to(states.dtype)
        rows = lay_side_by_side(states, n_beside, length, 0.0)
        kept = [self._fill(rows.flatten(0, 1))]
        for layer in self._layers:
            states = self._run(layer, kept[-1], mask, (len(rows), length, -1, self._head_width))
            kept = [*kept, states] if output_hidden_states else [states]
        kept = [each[: len(rows) * length].view(rows.shape)[:, : n_beside * n_pieces] for each in kept]
        kept = [each.reshape(-1, n_pieces, width)[:n_windows] for each in kept]
        return SimpleNamespace(last_hidden_state=kept[-1], hidden_states=tuple(kept))

    def _run(self, layer: Any, states: Tensor, mask: Tensor | None, heads_shape: tuple[int, ...]) -> Tensor:
        """Run a layer.

        Args:
            layer: Its parts.
            states: `(W · P + n, H)`, with rows at the end that belong to no piece.
            mask: What is added to the scores of keys.
            heads_shape: `(W, P, A, H / A)`.
        """
        rows, projections = heads_shape[0] * heads_shape[1], (layer.query, layer.key, layer.value)
        # (W, A, P, H / A)
        query, key, value = (project(states)[:rows].view(heads_shape).transpose(1, 2) for project in projections)
        attended = scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).reshape(rows, -1)
        states = layer.attended_norm(layer.attended(self._fill(attended), states))
        return layer.norm(layer.down(layer.activation(layer.up(states)), states))


def choose_rows(n_windows: int, n_pieces: int) -> tuple[int, int]:
    """Choose how many windows stand side by side in a row, and how long rows are.

    On a CPU, in half precision, the attention of torch takes a third of the time where the number of keys is a multiple
    of 16. In rows of such a length, windows do not see each other.
    """

    def count_cost(row: tuple[int, int]) -> int:
        n_beside, length = row
        odd = length % _ROW_BLOCK and _ODD_COST * (3 if length < _ROW_BLOCK else 1)
        return -(-n_windows // n_beside) * length * (_DENSE_COST + length + odd)

    lengths = range(-(-n_pieces // _ROW_BLOCK) * _ROW_BLOCK, max(n_pieces + _ROW_BLOCK, _LONGEST_ROW + 1), _ROW_BLOCK)
    return min([(1, n_pieces), *((length // n_pieces, length) for length in lengths)], key=count_cost)


def lay_side_by_side(windows: Tensor, n_beside: int, length: int, filler: float) -> Tensor:
    """Lay windows, `(W, P, F)`, side by side in rows, `(R, L, F)`, and fill the rest."""
    _, n_pieces, width = windows.shape
    # An even number, if there are many: `fill_block` would add as much to each layer.
    n_even = n_beside * (2 if length % _LARGEST_BLOCK and len(windows) > 8 * n_beside else 1)
    rows = pad(windows, (0, 0, 0, 0, 0, -len(windows) % n_even), value=filler).view(-1, n_beside * n_pieces, width)
    return pad(rows, (0, 0, 0, length - n_beside * n_pieces), value=filler)


def can_fuse(bert: Any) -> bool:
    """Tell whether the layers of an encoder are known."""
    config = bert.config
    # Releases before transformers 5 also know relative positions, which the attention has to add.
    has_plain_positions = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return config.model_type in _COLUMN and has_plain_positions and not getattr(config, "is_decoder", False)


def _get_adder(dense: Any) -> Any:
    """Return what runs a dense layer and adds a residual."""
    return dense.run_and_add if isinstance(dense, PackedLinear) else lambda inputs, residual: dense(inputs) + residual


# Where BERT's kin keep a dense layer and the activation that follows it, within one module.
_ACTIVATED = {"dense": "intermediate_act_fn", "lin1": "activation"}
_GELU = ("GELU", "GELUActivation")
# oneDNN's layout of weights depends on how many rows they will be multiplied with; any other number works too.
_TYPICAL_ROWS = 1024
# oneDNN makes a kernel for every number of rows, and keeps a thousand of them; fewer numbers take less memory.
_LARGEST_BLOCK = 32
# Of rows of windows: what a place costs besides 1 for each key, in the dense layers of BERT, and in attention to a
# number of keys that is no multiple of a block.
_ROW_BLOCK, _LONGEST_ROW, _DENSE_COST, _ODD_COST = 16, 256, 900, 170


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

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiply, add and activate, `(…, in)` → `(…, out)`."""
        run, rows = torch.ops.mkldnn._linear_pointwise, inputs.flatten(0, -2)
        outputs: Tensor = run(fill_block(rows), self._weight, self._bias, self._activation, [], "none")
        return outputs[: len(rows)].view(*inputs.shape[:-1], -1)

    def run_and_add(self, inputs: Tensor, residual: Tensor) -> Tensor:
        """Multiply and add, and add a residual, `(n, out)`; `n` is as `fill_block` makes it, and nothing activates."""
        return torch.ops.mkldnn._linear_pointwise.binary(inputs, residual, self._weight, self._bias, "add")


def fill_block(rows: Tensor) -> Tensor:
    """Append rows of zeros, `(n, H)`, to whole blocks of 32, or, where rows are few, of an eighth of them or less."""
    block = min(_LARGEST_BLOCK, 2 ** max(0, (len(rows) // 8).bit_length() - 1))
    n_added = -len(rows) % block
    return pad(rows, (0, 0, 0, n_added)) if n_added else rows


def can_pack(weight: Tensor) -> bool:
    """Tell whether dense layers can be packed, by the device and the number format of a weight."""
    # Private names of torch, which its compiler builds upon; without them the layers stay as they are.
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported")
    ops, is_x86 = torch.ops.mkldnn, platform.machine() in ("x86_64", "AMD64")
    if not (weight.device.type == "cpu" and is_x86 and all(hasattr(ops, name) for name in names)):
        return False
    is_supported = {torch.bfloat16: ops._is_mkldnn_bf16_supported, torch.float16: ops._is_mkldnn_fp16_supported}
    return bool(is_supported.get(weight.dtype, lambda: True)())


def pack(module: torch.nn.Module) -> None:
    """Pack all dense layers within a module, each with the GELU that follows it, in place."""
    for parent, name, child in [(owner, *each) for owner in module.modules() for each in owner.named_children()]:
        if type(child) is torch.nn.Linear:
            activation = getattr(parent, _ACTIVATED.get(name, ""), None)
            is_gelu = type(activation).__name__ in _GELU and getattr(activation, "approximate", "none") == "none"
            setattr(parent, name, PackedLinear(child, is_gelu=is_gelu))
            if is_gelu:
                setattr(parent, _ACTIVATED[name], torch.nn.Identity())
