"""`bert_encoder`: one encoder for all heads that listen to it."""

# No `from __future__ import annotations`: spaCy and confection read signatures at run time.

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Optional
from weakref import ref

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Optimizer, set_dropout_rate

from spacy_bertft.components.component import check_learn_rate
from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.models.encoder.build import BertEncoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.shared import SharedStates


class BertEncoderPipe(BertPipe):
    """Hold an encoder that the heads later in the pipeline share; to documents it writes nothing.

    The states are computed when the first head asks for them, and kept until the last one has had them.

    Attributes:
        states: What the heads share.
        listener_map: The layers that listen, by component; spaCy links them.
    """

    model_type = BertEncoder
    architecture = "spacy-bertft.BertEncoder.v1"

    def __init__(self, vocab: Vocab, model: BertEncoder, name: str) -> None:
        super().__init__(vocab, model, name)
        self.states = SharedStates(model)
        self.listener_map: dict[str, list[SharedEncoder]] = {}

    # What spaCy asks of a component that others listen to.

    @property
    def listeners(self) -> list[SharedEncoder]:
        """The layers that listen, in the order of the pipeline."""
        return [listener for listeners in self.listener_map.values() for listener in listeners]

    @property
    def listening_components(self) -> list[str]:
        """The components that have such layers."""
        return list(self.listener_map)

    def add_listener(self, listener: SharedEncoder, component_name: str) -> None:
        """Note that a layer of a component listens."""
        listeners = self.listener_map.setdefault(component_name, [])
        if listener not in listeners:
            listeners.append(listener)

    def remove_listener(self, listener: SharedEncoder, component_name: str) -> bool:
        """Forget a layer, and tell whether it was there."""
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        listeners.remove(listener)
        if not listeners:
            del self.listener_map[component_name]
        listener.disconnect()
        return True

    def find_listeners(self, component: Any) -> None:
        """Connect the layer of a later component that listens to this one."""
        listener = component.encoder if isinstance(component, BertPipe) else None
        if isinstance(listener, SharedEncoder) and listener.upstream_name in ("*", self.name):
            listener.connect(self.states)
            self.add_listener(listener, component.name)

    # spaCy's verbs, in spaCy's order.

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,  # noqa: UP045
    ) -> None:
        """Load the encoder. After an error it is what it was before.

        Raises:
            CheckpointError: It cannot be loaded.
        """
        with self._roll_back_on_error():
            self.model.initialize()
        if nlp is not None:
            self.states.pipeline = ref(nlp)

    def predict(self, docs: Iterable[Doc]) -> None:
        """Compute nothing yet: the first head that needs the states has them computed."""

    def set_annotations(self, docs: Sequence[Doc], scores: None) -> None:
        """Write nothing: states do not stay on documents."""

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,  # noqa: UP045
        losses: Optional[dict[str, float]] = None,  # noqa: UP045
    ) -> dict[str, float]:
        """Let the heads that are updated next learn through the encoder; `finish_update` uses their gradients.

        Args:
            examples: The batch.
            drop: Rate of dropout.
            sgd: Not used here: the gradient is not there yet.
            losses: Losses by component; an encoder has none of its own.
        """
        losses = {} if losses is None else losses
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.update")
        set_dropout_rate(self.model, drop)
        # Nor is any head updated if no document has a token.
        self.states.begin_update(examples if any(len(example.predicted) for example in examples) else [])
        losses.setdefault(self.name, 0.0)
        return losses

    def get_loss(self, examples: Iterable[Example], scores: Any) -> tuple[float, Any]:
        """Give no loss: an encoder has none of its own."""
        return 0.0, None

    def finish_update(self, sgd: Optimizer) -> None:
        """Let the optimizer use what the heads send back, once all of them have been updated."""
        check_learn_rate(self, sgd.learn_rate)
        self.states.finish_update(partial(self.model.finish_update, sgd))

    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Work with other weights for a while, such as the averages of an optimizer."""
        self.states.end_update()  # A step that still waits is one of the present weights.
        yield from super().use_params(params)

    # Storage.

    def _prepare_to_store(self) -> None:
        self.states.end_update()

    @contextmanager
    def _roll_back_on_error(self) -> Iterator[None]:
        self.states.end_update()
        with super()._roll_back_on_error():
            yield
