"""The layers of BERT and its nearest kin, for prediction only: what is left when nothing else has to be thought of.

The modules of transformers serve decoders, caches, pruned heads and much more, and pay for it with two milliseconds a
pass. Here the same modules are called one after the other. Dense layers have the layout that oneDNN likes best, and
short windows lie side by side in the rows that attention is computed over, so that there is no padding.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

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
        is_packed: Whether these are dense layers for a CPU, and short windows lie in one row.
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
        self.is_packed = any(isinstance(each, PackedLinear) for each in self.layers.modules())
        self._fill = fill_block if self.is_packed else lambda rows: rows

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
        states = self.embeddings_project(self.embeddings(input_ids, **types)).flatten(0, 1)
        if self.is_packed and len(input_ids) > 1:
            rows = lay_in_rows(attention_mask)
        else:
            is_piece, everything = attention_mask == 1, slice(len(states))
            # Without padding there is no mask on a CPU. To look at it would make a GPU wait.
            sees_all = is_piece.device.type == "cpu" and bool(is_piece.all())
            is_seen = None if sees_all else is_piece[:, None, None]
            rows = Rows((input_ids.shape[0], input_ids.shape[1]), everything, everything, is_seen)
        mask = None if rows.is_seen is None else torch.where(rows.is_seen, 0.0, -torch.inf).to(states.dtype)
        kept = [self._fill(states[rows.source])]
        for layer in self._layers:
            states = self._run(layer, kept[-1], mask, (*rows.shape, -1, self._head_width))
            kept = [*kept, states] if output_hidden_states else [states]
        kept = [each[rows.target].view(*input_ids.shape, -1) for each in kept]
        return SimpleNamespace(last_hidden_state=kept[-1], hidden_states=tuple(kept))

    def _run(self, layer: Any, states: Tensor, mask: Tensor | None, heads_shape: tuple[int, ...]) -> Tensor:
        """Run a layer.

        Args:
            layer: Its parts.
            states: `(R · L + n, H)`, with places at the end that are in no row.
            mask: What is added to the scores of keys.
            heads_shape: `(R, L, A, H / A)`.
        """
        n_places, projections = heads_shape[0] * heads_shape[1], (layer.query, layer.key, layer.value)
        # (R, A, L, H / A)
        query, key, value = (project(states)[:n_places].view(heads_shape).transpose(1, 2) for project in projections)
        attended = scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).reshape(n_places, -1)
        states = layer.attended_norm(layer.attended(self._fill(attended), states))
        return layer.norm(layer.down(layer.activation(layer.up(states)), states))


class Rows(NamedTuple):
    """How windows lie in the rows that attention is computed over.

    Attributes:
        shape: `(R, L)`.
        source: `(R · L,)` the piece at each place, counted through the padded windows; at an empty place any.
        target: `(W · P,)` the place of each piece; of padding any.
        is_seen: `(R, 1, 1 or L, L)` which places each place sees; None where it sees its whole row.
    """

    shape: tuple[int, int]
    source: Tensor | slice
    target: Tensor | slice
    is_seen: Tensor | None


def lay_in_rows(mask: Tensor) -> Rows:
    """Lay windows side by side in rows, without padding; none sees another.

    On a CPU the attention of torch takes up to three times as long where the number of keys is no multiple of 16.

    Args:
        mask: `(W, P)` 1 for a piece, 0 for padding, which comes last in each window.
    """
    n_rows, length, places = choose_rows(mask.sum(dim=1).tolist())
    target = (torch.tensor(places)[:, None] + torch.arange(mask.shape[1])).flatten()  # (W · P,)
    pieces = mask.flatten().nonzero()[:, 0]
    source, window = torch.zeros((2, n_rows * length), dtype=torch.long)
    source[target[pieces]] = pieces
    window[target[pieces]] = pieces // mask.shape[1] + 1
    by_row = window.view(n_rows, 1, length)
    is_seen = by_row[:, :, :, None] == by_row[:, :, None]
    return Rows((n_rows, length), source, target.clamp(max=n_rows * length - 1), is_seen)


def choose_rows(lengths: Sequence[int]) -> tuple[int, int, list[int]]:
    """Choose how long rows are, in which windows of given lengths lie; see `fill_rows`."""
    shortest = -(-max(*lengths, 1) // _LARGEST_BLOCK) * _LARGEST_BLOCK
    choices = range(shortest, max(shortest, _LONGEST_ROW) + 1, _LARGEST_BLOCK)
    # In the dense layers of BERT, a place takes about as long as attention to 900 others.
    return min((fill_rows(lengths, each) for each in choices), key=lambda rows: rows[0] * rows[1] * (900 + rows[1]))


def fill_rows(lengths: Sequence[int], row_length: int) -> tuple[int, int, list[int]]:
    """Fill rows with windows, the longest that fits first.

    Returns:
        The number of rows, how long they are, and the first place of each window, counted through all rows.
    """
    windows = defaultdict(list)
    for window, length in enumerate(lengths):
        windows[length].append(window)
    places, n_rows = [0] * len(lengths), 0
    while windows:
        n_rows += 1
        n_left = row_length
        for length in sorted(windows, reverse=True):
            while length <= n_left and windows[length]:
                places[windows[length].pop()] = n_rows * row_length - n_left
                n_left -= length
            if not windows[length]:
                del windows[length]
    return n_rows, row_length, places


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
_LONGEST_ROW = 256  # of several windows


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
