"""The torch module of an encoder: transformers' own model, fed with padded windows."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch

from spacy_bertft.checkpoints import Task
from spacy_bertft.checkpoints.heads import HeadLayout, Pooling, describe_pooling, find_head_layout
from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.settings import Layers, WindowSize
from spacy_bertft.models.encoder.states import Output
from spacy_bertft.models.encoder.trainable import count_layers, find_depth, is_adapter
from spacy_bertft.models.runtime.dropout import speed_up_dropout
from spacy_bertft.models.runtime.processes import count_workers
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.alignment import Ints
from spacy_bertft.tokens.windows import PaddedWindows

# Families whose states depend on how far a text is padded: convolutions, Fourier transforms, sums of neighbours.
_MIXES_PADDING = {"convbert", "fnet", "funnel", "nystromformer", "yoso"}


def count_features(layers: Layers, width: int, n_layers: int) -> int:
    """Count the features that `select_states` makes of hidden states of a width.

    Raises:
        SettingError: The encoder has too few layers.
    """
    if layers in ("sum_last_four", "concat_last_four") and n_layers < 4:
        raise SettingError("layers", layers, f"a choice that an encoder of {n_layers} layers has")
    return width * {"concat_last_four": 4, "scalar_mix": n_layers + 1, "all": n_layers + 1}.get(layers, 1)


def count_read(layers: Layers, n_layers: int) -> int:
    """Count the layers, bottom up, that features depend on."""
    return n_layers - 1 if layers == "second_to_last" else n_layers


def select_states(states: Sequence[torch.Tensor], layers: Layers) -> torch.Tensor:
    """Make features of the hidden states of all layers.

    Args:
        states: `(W, P, H)` for the embeddings and each layer, bottom up.
        layers: The last or the last but one; the sum or the concatenation of the last four; all of them side by side,
            for a scalar mix too, since the mix itself comes after pooling.

    Returns:
        `(W, P, F)`, with `F` as `count_features` says.

    Source: Devlin et al. (2019), table 7.
    """
    if layers == "second_to_last":
        return states[-2]
    if layers == "sum_last_four":
        return torch.stack(tuple(states[-4:])).sum(dim=0)
    if layers == "concat_last_four":
        return torch.cat(tuple(states[-4:]), dim=-1)
    return states[-1] if layers == "last" else torch.cat(tuple(states), dim=-1)


class ScalarMix(torch.nn.Module):
    """A learned weighted mean of all layers, times a learned scale.

    Args:
        n_states: How many layers are mixed, the embeddings among them.

    Source: Peters et al. (2018), eq. 1.
    """

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(n_states))
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Mix, `(R, N·H)` → `(R, H)`."""
        n_states = len(self.weights)
        by_layer = vectors.view(len(vectors), n_states, vectors.shape[1] // n_states)  # there may be no rows
        return self.scale * torch.einsum("n,rnh->rh", self.weights.softmax(dim=0), by_layer)


class BertModule(torch.nn.Module):
    """A pretrained encoder with its tokenizer.

    Args:
        bert: The model of transformers.
        tokenizer: The tokenizer that its vocabulary belongs to.
        pad_id: The id of padding.
        has_pooler: Whether the checkpoint has the dense layer over the first piece.
        layers: Which hidden states make the features.

    Attributes:
        n_layers: How many layers it has.
        window: How long texts are cut for it.
        always_frozen: The depth below which parameters never learn.
        feature_width: Width of the features of a piece.
        has_types: Whether it knows segment ids.
        may_pad: Whether a text that is padded has the states that it has alone.
        has_rows: Whether windows lie side by side in rows, see `FusedLayers`.
        least_pieces: To how many pieces a shorter text is padded, since the model cannot read it alone.

    Raises:
        SettingError: The encoder has too few layers for the features.
    """

    def __init__(
        self, bert: Any, tokenizer: PieceTokenizer, *, pad_id: int, has_pooler: bool, layers: Layers = "last"
    ) -> None:
        super().__init__()
        self.window: WindowSize
        self.bert = bert
        if not has_pooler and hasattr(self.bert, "pooler"):
            self.bert.pooler = None
        speed_up_dropout(self.bert)
        self.tokenizer = tokenizer
        self.n_layers = count_layers(self.bert.state_dict())
        self.always_frozen = 0
        self.pad_id = pad_id
        self.layers = layers
        self.feature_width = count_features(layers, self.width, self.n_layers)
        # Some families know no segment ids, some only one.
        self.has_types = getattr(self.bert.config, "type_vocab_size", 0) > 1
        known = signature(self.bert.forward).parameters
        self.has_types &= "token_type_ids" in known
        self._has_mask = "attention_mask" in known  # FNet of transformers 4 has none
        self.has_rows = False
        self.may_pad = self.bert.config.model_type not in _MIXES_PADDING
        n_blocks = len(getattr(self.bert.config, "block_sizes", ()))  # of Funnel, which halves a text after each
        self.least_pieces = 2 ** (n_blocks - 1) + 1 if n_blocks else 1
        # MobileBERT puts the embeddings of three neighbours side by side: padding has to look like the end of a text.
        self._sees_neighbours = bool(getattr(self.bert.config, "trigram_input", False))

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.bert.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def pooler(self) -> torch.nn.Linear | None:
        """The dense layer over the first piece that came with the checkpoint, if there is one."""
        pooler = getattr(self.bert, "pooler", None)
        dense = getattr(pooler, "dense", pooler)
        dense = getattr(dense, "base_layer", dense)  # below an adapter
        return dense if isinstance(dense, torch.nn.Linear) else None

    def find_head_layout(self, task: Task, pooling: Pooling = "cls") -> HeadLayout | None:
        """Find the layers that heads of the family have, or None where they are not known."""
        config = self.bert.config.to_dict()
        return find_head_layout(config | describe_pooling(config, task, pooling), task)

    @property
    def learns(self) -> bool:
        """Whether any parameter is left to learn."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: `(W, P)` piece ids, padded.
            mask: `(W, P)` 1 for a piece, 0 for padding.
            types: `(W, P)` segment ids; left out where the model knows none.

        Returns:
            `(W, P, F)` features.
        """
        inputs = {"inputs_embeds": self.embed(ids) * mask[:, :, None]} if self._sees_neighbours else {"input_ids": ids}
        return self._run(inputs, mask, types)

    # What `encode_docs` does with states; `GraphEncoder` does the same without torch.

    @property
    def n_workers(self) -> int:
        """How many passes may run side by side: one for each thread of a CPU; 0 on a GPU, and in training."""
        return 0 if self.device.type != "cpu" or torch.is_grad_enabled() else count_workers()

    def run(self, padded: PaddedWindows) -> torch.Tensor:
        """Run the encoder, `(W, P)` → `(W, P, F)`."""
        return self(self._to_torch(padded.ids), self._to_torch(padded.mask), self._to_torch(padded.types))

    def pick(self, states: torch.Tensor, index: Ints) -> torch.Tensor:
        """Pick states by their positions in the bucket, `(A,)` → `(A, F)`."""
        return states.flatten(0, 1).index_select(0, self._to_torch(index))

    def pool(self, states: torch.Tensor, mask: Ints, pooling: Output) -> torch.Tensor:
        """Make one vector of each window, see `pool_windows`."""
        return pool_windows(states, self._to_torch(mask), pooling)

    def average(self, states: torch.Tensor, token: Ints, n_tokens: int) -> torch.Tensor:
        """Average the states of pieces by the token of each, `(O, F)` → `(T, F)`; zeros where there is none."""
        index = self._to_torch(token)
        n_pieces = torch.bincount(index, minlength=n_tokens).clamp(min=1)[:, None]  # (T, 1)
        return states.new_zeros((n_tokens, states.shape[1])).index_add(0, index, states) / n_pieces

    def join(self, parts: Sequence[torch.Tensor], order: Ints) -> torch.Tensor:
        """Put rows that were computed in `order` back into the first order, as float32, `(A, F)`."""
        if not parts:
            return torch.zeros((0, self.feature_width), device=self.device)
        return torch.cat(tuple(parts)).index_select(0, self._to_torch(np.argsort(order, kind="stable"))).float()

    def _to_torch(self, values: Ints) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        device = self.device
        if device.type == "cuda":
            return tensor.pin_memory().to(device, non_blocking=True)  # copied while the next is prepared
        return tensor.to(device)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Look up the vectors of pieces, `(W, P)` → `(W, P, E)`; positions and segments are not in them yet."""
        return self.bert.get_input_embeddings()(ids)

    def run_embedded(self, vectors: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Run the encoder on vectors instead of pieces, without padding.

        Args:
            vectors: `(W, P, E)`, as `embed` makes them.
            types: `(W, P)` segment ids.

        Returns:
            `(W, P, F)` features.
        """
        return self._run({"inputs_embeds": vectors}, torch.ones_like(types), types)

    def read_attentions(self, ids: torch.Tensor, types: torch.Tensor) -> list[torch.Tensor]:
        """Run the encoder and read the attention of the layers below the features, bottom up, without padding.

        Args:
            ids: `(W, P)` piece ids.
            types: `(W, P)` segment ids.

        Returns:
            For each layer `(W, A, P, P)`: how much each piece, by row, attends to each, by column. None where the
            model does not tell, as where its attention is not computed in the way that transformers calls eager.
        """
        segments = {"token_type_ids": types} if self.has_types else {}
        output = self.bert(
            ids, attention_mask=torch.ones_like(ids), output_attentions=True, return_dict=True, **segments
        )
        found = [each for each in output.attentions or () if each is not None]
        return found[: count_read(self.layers, self.n_layers)] if len(found) == self.n_layers else []

    def _run(self, inputs: dict[str, Any], mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        if self.has_types:
            inputs["token_type_ids"] = types
        if self._has_mask:
            inputs["attention_mask"] = mask
        has_all = self.layers != "last"
        output = self.bert(**inputs, output_hidden_states=has_all, return_dict=True)
        return select_states(output.hidden_states, self.layers) if has_all else output.last_hidden_state  # (W, P, F)

    def thaw(self, n_thawed: int) -> None:
        """Let the top layers learn, and after all of them the embeddings, but nothing that is frozen for good."""
        frozen = self.n_layers + 1 - n_thawed if n_thawed else self.n_layers + 2
        self.freeze(max(self.always_frozen, frozen))

    def freeze(self, n_frozen: int) -> None:
        """Keep parameters below a depth from learning, see `count_frozen`; next to an adapter nothing else learns."""
        names = [name for name, _ in self.bert.named_parameters()]
        has_adapter = any(map(is_adapter, names))
        for name, parameter in self.bert.named_parameters():
            may_learn = is_adapter(name) or not has_adapter
            parameter.requires_grad_(may_learn and find_depth(name, self.n_layers) >= n_frozen)


def pool_windows(states: torch.Tensor, mask: torch.Tensor, pooling: Output) -> torch.Tensor:
    """Make one vector of each window, `(W, P, H)` → `(W, H)`; of the mask, `(W, P)`, 0 is padding."""
    if pooling == "first":
        return states[:, 0]
    if pooling == "max":
        return states.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
    total = (mask[:, None, :].to(states) @ states).squeeze(1)
    return total.float() / mask.sum(dim=1, keepdim=True)
