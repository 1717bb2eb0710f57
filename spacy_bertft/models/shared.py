"""What several heads share: an encoder that runs once, and the layers that listen to it.

```
 bert_encoder ── SharedStates ──┬── SharedEncoder ── head of bert_ner
     (one encoder, run once)    └── SharedEncoder ── head of bert_textcat
```
"""

from collections.abc import Callable, Hashable
from threading import local
from typing import Any, Optional, cast

import torch
from spacy.tokens import Doc
from thinc.api import Model

from ..errors import NotInitializedError
from .cache import make_key
from .encoded import EncodedDocs, EncodedGradient, ask_for, check_outputs, copy_encoded
from .stored import CHECK

Backprop = Callable[[EncodedGradient], list[Doc]]
EncoderModel = Model[list[Doc], EncodedDocs]


class _Kept(local):
    """The states of the last batch of a thread, what they depend on, and how many heads have had them."""

    def __init__(self) -> None:
        self.n_served = 0
        self.forget()

    def forget(self) -> None:
        self.keys: list[Hashable] | None = None
        self.encoded: EncodedDocs | None = None


class SharedStates:
    """Run an encoder once for all heads that listen to it.

    In training the gradients of all heads are added up, and go through the encoder together, once the last of them has
    come. spaCy may ask for a step of the optimizer before that; then the step waits. In prediction each thread keeps
    the states of its last batch until every head has had them; a head that sees another batch, or documents whose
    tokens were changed in between, has them computed again.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: EncoderModel) -> None:
        self.encoder = encoder
        self.n_heads = 0
        self._kept = _Kept()
        self._learning: tuple[list[Doc], EncodedDocs, Backprop] | None = None
        self._gradient: EncodedGradient | None = None
        self._n_gradients = 0
        self._step: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the states of the moment, when a process is given the encoder."""
        return {**self.__dict__, "_kept": None, "_learning": None, "_gradient": None, "_step": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take it over, in the process to which it was given."""
        self.__dict__.update(state)
        self._kept = _Kept()

    def predict(self, docs: list[Doc]) -> EncodedDocs:
        """Return the states of a batch, computing them for the first head that asks."""
        self.settle()
        keys = [make_key(doc, ["tokens"]) for doc in docs]
        kept = self._kept
        encoded = kept.encoded if kept.keys == keys else None
        if encoded is None:
            encoded = self.encoder.predict(docs)
            kept.keys, kept.encoded, kept.n_served = keys, encoded, 0
        kept.n_served += 1
        if kept.n_served >= self.n_heads:
            kept.forget()
        return encoded

    def begin_update(self, docs: list[Doc]) -> None:
        """Run the encoder on a batch to learn from."""
        self.settle()
        encoded, backprop = cast(tuple[EncodedDocs, Backprop], self.encoder.begin_update(docs))
        self._kept.forget()
        self._learning = docs, encoded, backprop

    def get_learning(self, docs: list[Doc]) -> EncodedDocs | None:
        """Return the states of the batch to learn from, or nothing where the encoder does not learn from this one."""
        if self._learning is None:
            return None
        known, encoded, _ = self._learning
        is_same = len(known) == len(docs) and all(left is right for left, right in zip(known, docs, strict=True))
        return encoded if is_same else None

    def add_gradient(self, gradient: EncodedGradient) -> None:
        """Add the gradient of a head to that of the others."""
        self._gradient = gradient if self._gradient is None else _add(self._gradient, gradient)
        self._n_gradients += 1
        if self._n_gradients == self.n_heads:
            self.settle()

    def finish_update(self, step: Callable[[], None]) -> None:
        """Let the optimizer make a step, now or when the gradients of the heads are there."""
        self._step = step
        if self._learning is None or self._gradient is not None:
            self.settle()

    def settle(self) -> None:
        """Send the gradients that have come through the encoder, and make the step that waits for them."""
        learning, gradient, step = self._learning, self._gradient, self._step
        self._learning = self._gradient = self._step = None
        self._n_gradients = 0
        if learning is not None and gradient is not None:
            learning[2](gradient)
        if step is not None:
            step()


class SharedEncoder(EncoderModel):
    """A layer in the place of an encoder that hands on the states of another one.

    Args:
        upstream_name: Name of the component that has the encoder, or `*` for the nearest.

    Attributes:
        states: What that component shares; nothing before the pipeline has linked the two.
    """

    def __init__(self, upstream_name: str) -> None:
        Model.__init__(
            self,
            "shared_encoder",
            _forward,
            init=_init,
            dims={"nO": None},
            attrs={"outputs": [], "read_head": self._read_head, CHECK: check_outputs},
        )
        self.upstream_name = upstream_name
        self.states: SharedStates | None = None

    def get_encoder(self) -> EncoderModel:
        """Return the encoder itself.

        Raises:
            NotInitializedError: There is none earlier in the pipeline.
        """
        return self._get_states().encoder

    def find_width(self) -> int:
        """Return the width of the states."""
        return self.get_encoder().get_dim("nO")

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        states = self._get_states()
        encoded = states.get_learning(docs) if is_train else None
        if encoded is None:
            predicted = states.predict(docs)
            return copy_encoded(predicted) if is_train else predicted, _no_backprop

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            factor = self.attrs["grad_factor"]
            states.add_gradient(gradient if factor == 1 else _scale(gradient, factor))
            return []

        return encoded, backprop

    def _get_states(self) -> SharedStates:
        if self.states is None:
            wanted = "of any name" if self.upstream_name == "*" else f"of the name '{self.upstream_name}'"
            raise NotInitializedError(
                f"A shared encoder found no component {wanted} to share with. Expected a bert_encoder or a transformer "
                "earlier in the pipeline."
            )
        return self.states

    def _read_head(self, task: str) -> Any:
        return None if self.states is None else self.states.encoder.attrs["read_head"](task)


def connect(states: SharedStates, upstream_name: str, model: Model[Any, Any]) -> list[SharedEncoder]:
    """Connect the layers of a head that listen to an encoder, and tell it what they ask for.

    Args:
        states: What the encoder shares.
        upstream_name: Name of the component that has the encoder.
        model: The model of another component.
    """
    found = [
        node for node in model.walk() if isinstance(node, SharedEncoder) and node.upstream_name in ("*", upstream_name)
    ]
    for listener in found:
        listener.states = states
        for output in listener.attrs["outputs"]:
            ask_for(states.encoder, output)
    return found


def _init(model: Any, X: Any = None, Y: Any = None) -> None:
    model.set_dim("nO", model.find_width(), force=True)


def _forward(model: Any, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
    listened: tuple[EncodedDocs, Backprop] = model.listen(docs, is_train)
    return listened


def _no_backprop(gradient: EncodedGradient) -> list[Doc]:
    return []


def _add(left: EncodedGradient, right: EncodedGradient) -> EncodedGradient:
    pooled = dict(left.window_vectors)
    for pooling, vectors in right.window_vectors.items():
        pooled[pooling] = _add_tensors(pooled.get(pooling), vectors)  # type: ignore[assignment]
    return EncodedGradient(_add_tensors(left.token_vectors, right.token_vectors), pooled)


def _add_tensors(left: Optional[torch.Tensor], right: Optional[torch.Tensor]) -> Optional[torch.Tensor]:  # noqa: UP045
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _scale(gradient: EncodedGradient, factor: float) -> EncodedGradient:
    tokens = None if gradient.token_vectors is None else gradient.token_vectors * factor
    return EncodedGradient(tokens, {pooling: each * factor for pooling, each in gradient.window_vectors.items()})
