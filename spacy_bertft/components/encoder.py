"""`bert_encoder`: one encoder for all heads that listen to it."""

# No `from __future__ import annotations`: spaCy and confection read signatures at run time.

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate

from ..models.shared import EncoderModel, SharedEncoder, SharedStates, connect
from .pipe import DEFAULT_ENCODER, BertPipe


@Language.factory("bert_encoder", default_config={"model": DEFAULT_ENCODER})
def make_bert_encoder(nlp: Language, name: str, model: EncoderModel) -> "BertEncoderPipe":
    """Make the component.

    Args:
        nlp: The pipeline.
        name: Name of the component, which `spacy-bertft.SharedEncoder.v1` may call for.
        model: An encoder.
    """
    return BertEncoderPipe(nlp.vocab, model, name)


class BertEncoderPipe(BertPipe):
    """Hold an encoder that the heads later in the pipeline share; to documents it writes nothing.

    The states are computed when the first head asks for them, and kept until the last one has had them.

    Attributes:
        states: What the heads share.
        listener_map: The layers that listen, by component; spaCy links them.
    """

    def __init__(self, vocab: Vocab, model: EncoderModel, name: str) -> None:
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
        self.states.n_heads = len(self.listeners)

    def remove_listener(self, listener: SharedEncoder, component_name: str) -> bool:
        """Forget a layer, and tell whether it was there."""
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        listeners.remove(listener)
        if not listeners:
            del self.listener_map[component_name]
        self.states.n_heads = len(self.listeners)
        return True

    def find_listeners(self, component: Any) -> None:
        """Connect the layers of a later component that listen to this one."""
        model = getattr(component, "model", None)
        if isinstance(model, Model):
            for listener in connect(self.states, self.name, model):
                self.add_listener(listener, component.name)

    # spaCy's verbs, in spaCy's order.

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,  # noqa: UP045
    ) -> None:
        """Load the encoder.

        Raises:
            CheckpointError: It cannot be loaded.
        """
        self.model.initialize()

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
        """Run the encoder on a batch; the heads that are updated next give the gradient, `finish_update` uses it.

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
        self.states.begin_update([example.predicted for example in examples])
        losses.setdefault(self.name, 0.0)
        return losses

    def get_loss(self, examples: Iterable[Example], scores: Any) -> tuple[float, Any]:
        """Give no loss: an encoder has none of its own."""
        return 0.0, None

    def finish_update(self, sgd: Optimizer) -> None:
        """Let the optimizer use what the heads send back, once all of them have been updated."""
        self.states.finish_update(partial(self.model.finish_update, sgd))

    # Storage.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Write the component."""
        self.states.settle()
        return super().to_bytes(exclude=exclude)

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the component into a folder."""
        self.states.settle()
        super().to_disk(path, exclude=exclude)
