"""Documents → the states of an encoder earlier in the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from weakref import ref

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import MissingEncoderError
from spacy_bertft.models.encoder.build import BertEncoder, Encoder
from spacy_bertft.models.encoder.shared import Backprop, SharedStates
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, Output, copy_encoded

ReplaceConfig = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


def build_shared_encoder(upstream: str = "*", grad_factor: float = 1.0) -> SharedEncoder:
    """Build a layer that listens to an encoder earlier in the pipeline, so that several heads share one pass.

    Args:
        upstream: Name of the component with the encoder: a `bert_encoder` of ours, or a `transformer` of
            spacy-transformers; `*` for the nearest before the head.
        grad_factor: Factor on the gradient that goes back to the encoder; with 0 this head does not train it.
    """
    if find_spec("spacy_transformers") is None:
        return SharedEncoder(upstream, grad_factor)
    # By its name, since it is in a layer above: it only adds that a stock `transformer` takes it for its own listener.
    return import_module("spacy_bertft.models.stock.spacy_transformers").StockListener(upstream, grad_factor)


class SharedEncoder(Encoder):
    """A layer that replaces an encoder and hands on the states of another one.

    Args:
        upstream_name: Name of the component that has the encoder, or `*` for the nearest.
        grad_factor: Factor on the gradient that goes back to the encoder.

    Attributes:
        states: What that component shares; None unless the pipeline has linked the two.
        component_name: Name of the component that has this layer.
        replace_config: Writes the config of a component of which this layer is replaced by an encoder, from the
            sections of the encoder and of the layer; None where the encoder has the place of the layer.
        residual_layers: Layers of the component that keep the width of the states, and were built without knowing it.
    """

    replace_config: ReplaceConfig | None = None

    def __init__(self, upstream_name: str, grad_factor: float = 1.0) -> None:
        kind = type(self)
        Encoder.__init__(self, "shared_encoder", kind.listen, init=kind.copy_width, grad_factor=grad_factor)
        self.upstream_name = upstream_name
        self.states: SharedStates | None = None
        self.component_name = ""
        self.residual_layers: list[Model[Any, Any]] = []

    def require(self, output: Output) -> None:
        """Have the encoder yield an output, this one and the one that it listens to."""
        super().require(output)
        if self.states is not None:
            self.states.encoder.require(output)

    def find_source(self) -> BertEncoder | None:
        """Return the encoder of the other component; None if it is not linked, or not one of ours."""
        return None if self.states is None else self.states.encoder

    def copy_width(self, X: Any = None, Y: Any = None) -> None:
        """Set the width to that of the encoder; thinc calls this to initialize the model."""
        width = self.find_width()
        self.set_dim("nO", width, force=True)
        for layer in self.residual_layers:
            layer.set_dim("nO", width)

    def find_width(self) -> int:
        """Return the width of the states."""
        return self._get_states().encoder.get_dim("nO")

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        states = self._get_states()
        learning = states.find_pass(docs) if is_train else None
        if learning is None:
            predicted = states.predict(docs)
            return copy_encoded(predicted) if is_train else predicted, lambda gradient: []

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            factor = self.attrs["grad_factor"]
            scaled = {output: each * factor for output, each in gradient.items()}
            states.add_gradient(self, learning, scaled if factor else None)
            return []

        return learning.encoded, backprop

    def prepare_link(self, component_name: str) -> None:
        """Note the name of the component, before spaCy links the components of its pipeline.

        The encoder is let go, for it may have left the pipeline; if it is still there, it connects again. One that is
        disabled is kept, since spaCy does not link it.
        """
        self.component_name = component_name
        if self.states is not None and not self.states.may_be_disabled():
            self.disconnect()

    def connect(self, states: SharedStates) -> None:
        """Listen to an encoder, and to no other one, and require what the head requires."""
        self.disconnect()
        self.states = states
        states.listeners.add(self)
        for output in self.outputs:
            states.encoder.require(output)
        if states.encoder.has_dim("nO"):
            self.copy_width()

    def disconnect(self) -> None:
        """Listen to no encoder."""
        if self.states is not None:
            self.states.listeners.discard(self)
        self.states = None

    def check_link(self, nlp: Language | None = None) -> None:
        """Raise unless there is an encoder to listen to.

        Args:
            nlp: The pipeline, if it is known.

        Raises:
            MissingEncoderError: There is none, or it is not before this layer in the pipeline.
        """
        states = self._get_states()
        if nlp is not None:
            self._check_upstream(nlp, lambda pipe: getattr(pipe, "states", None) is states)
            states.pipeline = ref(nlp)

    def _check_upstream(self, nlp: Language, is_upstream: Callable[[Any], bool]) -> None:
        """Raise unless a component before the one that has this layer, enabled or not, fulfils a condition."""
        own = [getattr(pipe, "encoder", None) is self for _, pipe in nlp.components]
        if any(own) and not any(is_upstream(pipe) for _, pipe in nlp.components[: own.index(True)]):
            raise MissingEncoderError(self.component_name, self.upstream_name)

    def _copy(self, seen: dict[int, Any] | None = None) -> SharedEncoder:
        copied: SharedEncoder = super()._copy(seen)
        copied.states = None  # which does not know the copy: a pipeline links it
        return copied

    def _get_states(self) -> SharedStates:
        if self.states is None:
            raise MissingEncoderError(self.component_name, self.upstream_name)
        return self.states
