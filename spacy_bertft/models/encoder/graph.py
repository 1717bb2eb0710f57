"""What predicts in place of a `BertModule` when OpenVINO runs the encoder: numpy arrays, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thinc.compat import torch

from spacy_bertft.models.encoder.settings import EncoderSettings, WindowSize
from spacy_bertft.models.encoder.states import Output
from spacy_bertft.models.runtime.openvino import Graph
from spacy_bertft.models.runtime.processes import count_workers
from spacy_bertft.models.store.graph import GraphModule, Spec
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.alignment import Ints
from spacy_bertft.tokens.windows import PaddedWindows

Floats = NDArray[np.float32]
# What is known of an encoder without its weights; see `BertModule`.
FACTS = ("pad_id", "width", "feature_width", "n_layers", "may_pad", "least_pieces")


class GraphEncoder(GraphModule):
    """An encoder that predicts. What `encode_docs` does with states is here as it is in `BertModule`.

    Args:
        graph: From `ids`, `mask` and `types`, `(W, P)` each, to the features, `(W, P, F)`.
        tokenizer: The tokenizer of the encoder.
        window: How long texts are cut.
        **facts: Those of `FACTS`.
    """

    learns = has_rows = False
    pooler = None

    def __init__(self, graph: Graph, tokenizer: PieceTokenizer, window: WindowSize, **facts: Any) -> None:
        super().__init__(graph, **facts)
        self.tokenizer, self.window = tokenizer, window

    @property
    def n_workers(self) -> int:
        """How many passes may run side by side."""
        return count_workers()

    def run(self, padded: PaddedWindows) -> Floats:
        """Run the encoder, `(W, P)` → `(W, P, F)`."""
        return self.graph(ids=padded.ids, mask=padded.mask, types=padded.types)

    def pick(self, states: Floats, index: Ints) -> Floats:
        """Pick states by their positions in the bucket, `(A,)` → `(A, F)`."""
        return states.reshape(-1, states.shape[-1])[index]

    def pool(self, states: Floats, mask: Ints, pooling: Output) -> Floats:
        """Make one vector of each window, `(W, P, F)` → `(W, F)`; of the mask, `(W, P)`, 0 is padding."""
        if pooling == "first":
            return states[:, 0]
        if pooling == "max":
            return np.where(mask[:, :, None] == 0, -np.inf, states).max(axis=1).astype(np.float32)
        n_pieces = mask.sum(axis=1, keepdims=True, dtype=np.float32)
        return (mask[:, None, :].astype(np.float32) @ states)[:, 0] / n_pieces

    def average(self, states: Any, token: Ints, n_tokens: int) -> Any:
        """Average the states of pieces by the token of each, `(O, F)` → `(T, F)`; zeros where there is none."""
        mean = np.zeros((n_tokens, states.shape[1]), dtype=np.float32)
        np.add.at(mean, token, np.asarray(states))
        mean /= np.maximum(np.bincount(token, minlength=n_tokens), 1)[:, None]
        return _to_shared(mean)

    def join(self, parts: Sequence[Floats], order: Ints) -> Any:
        """Put rows that were computed in `order` back into the first order, `(A, F)`."""
        none = np.zeros((0, self.feature_width), dtype=np.float32)
        return _to_shared(np.concatenate([none, *parts])[np.argsort(order, kind="stable")])


def _to_shared(states: Floats) -> Any:
    """Give states as heads are given them: tensors of torch, where that is installed."""
    return states if torch is None else torch.from_numpy(states)


def build_graph_encoder(settings: EncoderSettings, spec: Spec, graph: Graph, facts: dict[str, Any]) -> GraphEncoder:
    """Build what was stored.

    Args:
        settings: The settings of the encoder.
        spec: The description of the encoder, as for `build_bert`.
        graph: The graph.
        facts: Those of `FACTS`.

    Raises:
        SettingError: A setting does not fit the encoder.
    """
    tokenizer = PieceTokenizer(spec["tokenizer"])
    tokenizer.by_token = settings.tokenize == "tokens"
    tokenizer.by_sentence = settings.windows_over == "sentences"
    graph.precision = settings.precision
    return GraphEncoder(graph, tokenizer, settings.choose_window(spec["config"], tokenizer.n_special), **facts)
