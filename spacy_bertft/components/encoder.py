"""`bert_encoder`: one encoder for all heads that listen to it."""

# No `from __future__ import annotations`: spaCy and confection read signatures at run time.

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from typing import Any, Optional
from weakref import finalize, ref

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate

from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.build import BertEncoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.shared import SharedStates
from spacy_bertft.models.heads.head import warn_of_high_rate


class _ListenerMap(dict[str, list[SharedEncoder]]):
    """The layers that listen, by component.

    `Language.replace_listeners` asks for those of a component by `get`. Next it looks among the attributes of the
    encoder for what writes the config; this must not be there for our own components, which have no `model.tok2vec`.
    """

    def __init__(self, encoder: BertEncoder, listeners: dict[str, list[SharedEncoder]]) -> None:
        super().__init__(listeners)
        self._encoder = encoder

    def get(self, component_name: str, default: Any = None) -> Any:
        """Return the layers of a component."""
        listeners = super().get(component_name, default)
        self._encoder.attrs.pop("replace_listener_cfg", None)
        if listeners and listeners[0].replace_config:
            self._encoder.attrs["replace_listener_cfg"] = listeners[0].replace_config
        return listeners


def _disconnect_stock(states: SharedStates) -> None:
    """Disconnect spaCy's own components, which are not told when the encoder leaves the pipeline, as ours are."""
    listener: Any
    for listener in list(states.listeners):
        if listener.replace_config:
            listener.disconnect()


class BertEncoderPipe(BertPipe):
    """Hold an encoder that the heads later in the pipeline share; to documents it writes nothing.

    The states are computed when the first head asks for them, and kept until the last one has had them.

    Attributes:
        states: What the heads share.
        listener_map: The layers that listen, by component; spaCy empties it and links them again.
    """

    model_type = BertEncoder
    architecture = "spacy-bertft.BertEncoder.v1"

    def __init__(self, vocab: Vocab, model: BertEncoder, name: str) -> None:
        super().__init__(vocab, model, name)
        self.states = SharedStates(model)
        self.listener_map = {}
        finalize(self, _disconnect_stock, self.states)

    # What spaCy asks of a component that others listen to.

    @property
    def listener_map(self) -> dict[str, list[SharedEncoder]]:  # noqa: D102
        return self._listener_map

    @listener_map.setter
    def listener_map(self, listeners: dict[str, list[SharedEncoder]]) -> None:
        self._listener_map = _ListenerMap(self.model, listeners)

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
        """Connect the layers of a later component, one of ours or of spaCy's, that listen to this one.

        Raises:
            SettingError: A layer of another package listens to this component.
        """
        model: Any = getattr(component, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            if getattr(node, "upstream_name", None) not in ("*", self.name):
                continue
            if isinstance(node, SharedEncoder):
                node.component_name = component.name
                # That of an `entity_linker`; thinc would take the width of what is learned for its own.
                residual = [layer for each in model.walk() if each.name.startswith("residual") for layer in each.walk()]
                node.residual_layers = [layer for layer in residual if layer.has_dim("nO") is None]
                node.connect(self.states)
                self.add_listener(node, component.name)
            else:
                self._check_foreign(node, component)

    def _check_foreign(self, listener: Any, component: Any) -> None:
        """Raise if a layer of another package listens to this component, which gives it nothing: it would see zeros.

        Raises:
            SettingError: It does.
        """
        nlp = self.states.pipeline() if self.states.pipeline else None
        before = (
            () if nlp is None else takewhile(lambda pipe: pipe is not component, (pipe for _, pipe in nlp.components))
        )
        others = [pipe for pipe in before if hasattr(pipe, "find_listeners") and not isinstance(pipe, BertEncoderPipe)]
        if listener.upstream_name == self.name or not others:
            where = f"components.{component.name}.model: a layer '{listener.name}' over the bert_encoder {self.name}"
            raise SettingError(where, listener.upstream_name, '"spacy-bertft.Listener.v1" where that layer is')

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
        for listener in self.states.listeners:
            listener.initialize()
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
            drop: Not used here: the encoder has the rates of its checkpoint, and the heads this one.
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
        self.has_warned = self.has_warned or warn_of_high_rate(self.name, self.model, sgd.learn_rate)
        self.states.finish_update(partial(self.model.finish_update, sgd))

    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Work with other weights for a while, such as the averages of an optimizer."""
        self.states.end_update()  # A step that still waits is one of the present weights.
        yield from super().use_params(params)

    # Storage.

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Make a step that still waits before it is copied or pickled."""
        self.states.end_update()
        return super().__reduce_ex__(protocol)

    def _prepare_to_store(self) -> None:
        self.states.end_update()

    @contextmanager
    def _roll_back_on_error(self) -> Iterator[None]:
        self.states.end_update()
        with super()._roll_back_on_error():
            yield
