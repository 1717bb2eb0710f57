"""`spacy-bertft.SharedEncoder.v1`: documents → the states of an encoder earlier in the pipeline."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from weakref import ref

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import MissingEncoderError
from spacy_bertft.models.encoder.output import EncodedDocs, EncodedGradient, ask_for, check_outputs, copy_encoded
from spacy_bertft.models.encoder.shared import Backprop, EncoderModel, SharedStates
from spacy_bertft.models.store.serialization import CHECK


def build_shared_encoder(upstream: str = "*", grad_factor: float = 1.0) -> EncoderModel:
    """Build a layer that listens to an encoder earlier in the pipeline, so that several heads share one pass.

    Args:
        upstream: Name of the component with the encoder: a `bert_encoder` of ours, or a `transformer` of
            spacy-transformers; `*` for the nearest before the head.
        grad_factor: Factor on the gradient that goes back to the encoder; 0 keeps this head from teaching it.
    """
    make: type[SharedEncoder] = SharedEncoder
    if find_spec("spacy_transformers") is not None:
        from spacy_bertft.models.stock.spacy_transformers import StockListener

        make = StockListener
    model = make(upstream)
    model.attrs["grad_factor"] = grad_factor
    return model


class SharedEncoder(EncoderModel):
    """A layer that replaces an encoder and hands on the states of another one.

    Args:
        upstream_name: Name of the component that has the encoder, or `*` for the nearest.

    Attributes:
        states: What that component shares; nothing unless the pipeline has linked the two.
        component_name: Name of the component that has this layer.
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
        self.component_name = ""

    def get_encoder(self) -> EncoderModel:
        """Return the encoder itself.

        Raises:
            MissingEncoderError: There is none earlier in the pipeline.
        """
        return self._get_states().encoder

    def find_width(self) -> int:
        """Return the width of the states."""
        return self.get_encoder().get_dim("nO")

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        states = self._get_states()
        learning = states.find_pass(docs) if is_train else None
        if learning is None:
            predicted = states.predict(docs)
            return copy_encoded(predicted) if is_train else predicted, _no_backprop

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            factor = self.attrs["grad_factor"]
            scaled = gradient if factor == 1 else _scale(gradient, factor)
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
        """Listen to an encoder, and to no other one."""
        self.disconnect()
        self.states = states
        states.listeners.add(self)

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
        models = [getattr(pipe, "model", None) for _, pipe in nlp.components]
        own = [isinstance(model, Model) and self in model.walk() for model in models]
        if any(own) and not any(is_upstream(pipe) for _, pipe in nlp.components[: own.index(True)]):
            raise MissingEncoderError(self.component_name, self.upstream_name)

    def _get_states(self) -> SharedStates:
        if self.states is None:
            raise MissingEncoderError(self.component_name, self.upstream_name)
        return self.states

    def _read_head(self, task: str) -> Any:
        return None if self.states is None else self.states.encoder.attrs["read_head"](task)


def find_listeners(model: Model[Any, Any]) -> list[SharedEncoder]:
    """Find the layers of a model that listen to the encoder of another component."""
    return [node for node in model.walk() if isinstance(node, SharedEncoder)]


def connect(states: SharedStates, upstream_name: str, model: Model[Any, Any]) -> list[SharedEncoder]:
    """Connect the layers of a head that listen to an encoder, and tell it what they ask for.

    Args:
        states: What the encoder shares.
        upstream_name: Name of the component that has the encoder.
        model: The model of another component.
    """
    found = [node for node in find_listeners(model) if node.upstream_name in ("*", upstream_name)]
    for listener in found:
        listener.connect(states)
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


def _scale(gradient: EncodedGradient, factor: float) -> EncodedGradient:
    tokens = None if gradient.token_vectors is None else gradient.token_vectors * factor
    return EncodedGradient(tokens, {pooling: each * factor for pooling, each in gradient.window_vectors.items()})
