"""`spacy-bertft.Listener.v1` and `spacy-bertft.Tok2Vec.v1`: documents → one vector for each token.

This is what spaCy's own components have as their `tok2vec`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.compat import torch
from thinc.types import Floats2d

from spacy_bertft.errors import SettingError, ShapeError, UnsupportedError
from spacy_bertft.models.encoder.build import BertEncoder, Encoder, build_mix, get_mix_lr_scale
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.shared import Backprop
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, Output
from spacy_bertft.models.store.shim import TorchShim, TypedModel
from spacy_bertft.tokens.alignment import Ints

Pooling = Literal["first", "mean"]
ListenerLayers = Literal["encoder", "last", "scalar_mix"]
_OUTPUTS: dict[Pooling, Output] = {"first": "tokens", "mean": "token_means"}


def build_listener(
    pooling: Pooling = "first", upstream: str = "*", grad_factor: float = 1.0, layers: ListenerLayers = "encoder"
) -> Model[list[Doc], list[Floats2d]]:
    """Build what one of spaCy's own components has as its `tok2vec`, to share the encoder of a `bert_encoder`.

    Args:
        pooling: The vector of a token: `"first"`, the state of its first subword token, as in our heads; or `"mean"`,
            the mean over all subword tokens that overlap it, as with `reduce_mean.v1` in spacy-transformers. A token
            that has none, such as one of whitespace, gets zeros.
        upstream: Name of the `bert_encoder`; `*` for the nearest before the component.
        grad_factor: Factor on the gradient that goes back to the encoder; 0 keeps the component from teaching it.
        layers: What vectors are made of: `"encoder"`, the features that the encoder gives to all; or, of an encoder
            with `layers = "all"`, the `"last"` one, or a `"scalar_mix"`, a mean over all that this component learns.

    Raises:
        SettingError: `pooling` or `layers` is something else.
    """
    if layers not in get_args(ListenerLayers):
        raise SettingError("layers", layers, f"one of {', '.join(get_args(ListenerLayers))}")
    shared = SharedEncoder(upstream, grad_factor)
    encoder = shared if layers == "encoder" else LayerListener(upstream, grad_factor, layers == "scalar_mix")
    encoder.replace_config = _replace_config
    return Tok2Vec(encoder, pooling)


def build_tok2vec(encoder: Model[list[Doc], Any], pooling: Pooling = "first") -> Model[list[Doc], list[Floats2d]]:
    """Build what one of spaCy's own components has as its `tok2vec`, with an encoder of its own.

    `nlp.replace_listeners` writes this section where `spacy-bertft.Listener.v1` was.

    Args:
        encoder: A `spacy-bertft.BertEncoder.v1`.
        pooling: The vector of a token, see `spacy-bertft.Listener.v1`.

    Raises:
        SettingError: `encoder` or `pooling` is something else.
    """
    if not isinstance(encoder, BertEncoder):
        expected = "spacy-bertft.BertEncoder.v1; to share one, put spacy-bertft.Listener.v1 where Tok2Vec.v1 is"
        raise SettingError("encoder", encoder.name, expected)
    return Tok2Vec(encoder, pooling)


def _replace_config(encoder: dict[str, Any], listener: dict[str, Any]) -> dict[str, Any]:
    pooling, layers = listener.get("pooling", "first"), listener.get("layers", "encoder")
    if layers != "encoder":
        raise UnsupportedError(
            f"A listener with layers = {layers} cannot be replaced by a copy of the encoder. Leave the listener."
        )
    return {"@architectures": "spacy-bertft.Tok2Vec.v1", "pooling": pooling, "encoder": encoder}


class LayerListener(SharedEncoder):
    """A layer that listens to an encoder that gives all its layers, and makes states of them.

    Args:
        upstream_name: Name of the component that has the encoder, or `*` for the nearest.
        grad_factor: Factor on the gradient that goes back to the encoder.
        is_mix: Whether it learns a mean over all layers; otherwise it takes the last one.
    """

    def __init__(self, upstream_name: str, grad_factor: float, is_mix: bool) -> None:
        super().__init__(upstream_name, grad_factor)
        self._shims = [TorchShim(build_mix, get_mix_lr_scale)] if is_mix else []

    @property
    def mix(self) -> TorchShim | None:
        """What owns the mean over all layers."""
        return self._shims[0] if self._shims else None  # type: ignore[return-value]

    def copy_width(self, X: Any = None, Y: Any = None) -> None:
        """Set the width to that of a layer, and start with equal weights if there are none yet.

        Raises:
            SettingError: The encoder does not give all its layers.
        """
        super().copy_width()
        if self.mix and not self.mix.spec:
            self.mix.attach({"n_states": self._get_states().encoder.module.n_layers + 1})

    def find_width(self) -> int:
        """Return the width of a layer."""
        encoder = self._get_states().encoder
        if encoder.settings.layers != "all":
            raise SettingError("layers", encoder.settings.layers, '"all" in the encoder of which a listener chooses')
        width: int = encoder.module.width
        return width

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        encoded, backprop_all = super().listen(docs, is_train)
        # (R, N·H) → (R, H)
        vectors = {output: each.detach().requires_grad_(is_train) for output, each in encoded.vectors.items()}
        with torch.set_grad_enabled(is_train):
            chosen = {
                output: self.mix.module(each) if self.mix else each[:, -self.get_dim("nO") :]
                for output, each in vectors.items()
            }

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            torch.autograd.backward([chosen[output] for output in gradient], list(gradient.values()))
            return backprop_all({output: vectors[output].grad for output in gradient})  # type: ignore[misc]

        return replace(encoded, vectors=chosen), backprop


class Tok2Vec(TypedModel[list[Doc], list[Floats2d]]):
    """An encoder, read token by token.

    Args:
        encoder: Gives the states: one of its own, or a layer that listens.
        pooling: The vector of a token.
    """

    _sample: list[Doc] | None = None  # what it was initialized with

    def __init__(self, encoder: Encoder, pooling: Pooling) -> None:
        if pooling not in _OUTPUTS:
            raise SettingError("pooling", pooling, f"one of {', '.join(get_args(Pooling))}")
        # spaCy finds the width by the reference, before it initializes this layer.
        refs: dict[str, Model[Any, Any] | None] = {"listener": encoder}
        Model.__init__(
            self,
            "bert_tok2vec",
            Tok2Vec.compute,
            init=Tok2Vec.initialize_encoder,
            layers=[encoder],
            dims={"nO": None},
            refs=refs,
        )
        self.output = _OUTPUTS[pooling]
        encoder.require(self.output)

    def initialize_encoder(self, X: Any = None, Y: Any = None) -> None:
        """Load the encoder, or look for the one to listen to; thinc calls this to initialize the model.

        Raises:
            CheckpointError: It cannot be loaded.
            MissingEncoderError: There is none to listen to.
        """
        [encoder] = self.layers
        encoder.initialize()
        self.set_dim("nO", encoder.get_dim("nO"), force=True)
        self._sample = X

    def compute(self, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
        """Compute the vectors of the tokens of each document, `(T, H)`; thinc's forward function.

        Raises:
            MissingEncoderError: There is no encoder to listen to.
            ShapeError: Its states are of another width than those that the component was trained with.
        """
        if docs is self._sample:  # thinc looks at the shapes alone, and no component has annotated these documents yet
            return [self.ops.alloc2f(len(doc), self.get_dim("nO")) for doc in docs], lambda _: []
        encoded, backprop_states = self.layers[0](docs, is_train)
        states = encoded.vectors[self.output].detach()  # (A, H), or (T, H) if they are means
        if self.has_dim("nO") and states.shape[1] != self.get_dim("nO"):
            expected = f"a width of {self.get_dim('nO')}, as trained"
            raise ShapeError("the states of the encoder", tuple(states.shape), expected)
        ends = np.cumsum([len(doc) for doc in docs], dtype=np.intp)
        row, token = (_to_torch(index, states) for index in _pair_rows(encoded))
        vectors = states
        if self.output == "tokens":
            vectors = states.new_zeros((int(ends[-1]) if len(docs) else 0, states.shape[1]))
            vectors.index_copy_(0, token, states.index_select(0, row))
        array: Any = torch2xp(vectors, ops=self.ops)

        def backprop(d_vectors: list[Floats2d]) -> list[Doc]:
            if not len(docs):
                return []
            gradient = xp2torch(self.ops.xp.concatenate(d_vectors), device=states.device)  # (T, H)
            if self.output == "tokens":
                gradient = torch.zeros_like(states).index_add_(0, row, gradient.index_select(0, token))
            return backprop_states({self.output: gradient})

        return [array[end - len(doc) : end] for doc, end in zip(docs, ends.tolist(), strict=True)], backprop


def _pair_rows(encoded: EncodedDocs) -> tuple[Ints, Ints]:
    """Pair the rows of states with tokens, since tokens that share their piece are one row; both `(N,)`."""
    n_tokens = encoded.token_end - encoded.token_index  # (A,)
    row = np.repeat(np.arange(len(n_tokens)), n_tokens)
    first = encoded.token_index - (np.cumsum(n_tokens) - n_tokens)
    return row, first[row] + np.arange(len(row))


def _to_torch(index: Ints, states: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(index).to(states.device)
