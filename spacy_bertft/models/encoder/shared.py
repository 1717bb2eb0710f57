"""What several heads share: an encoder that runs once, in prediction and in training.

```
 bert_encoder ── SharedStates ──┬── SharedEncoder ── head of bert_ner
     (one encoder, run once)    └── SharedEncoder ── head of bert_textcat
```
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from threading import local
from typing import Any, cast
from weakref import ReferenceType, WeakSet, ref

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.models.encoder.build import BertEncoder, Encoder
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, make_key, take_docs
from spacy_bertft.tokens.alignment import Ints

Backprop = Callable[[EncodedGradient], list[Doc]]
# What states depend on: the weights, and each document.
Key = tuple[Hashable, tuple[Hashable, ...]]


class _Kept(local):
    """The states of the last batch of a thread, what they depend on, and of how many documents heads have had them."""

    n_served = 0
    key: Key | None = None
    encoded: EncodedDocs | None = None
    n_tokens: Ints = np.zeros(0, dtype=np.intp)
    first_doc: ReferenceType[Doc] | None = None

    def find(self, key: Key) -> EncodedDocs | None:
        """Return the states of documents of the batch, or None if there are others: spaCy's `parser` sorts a batch."""
        if self.key is None or self.encoded is None or key == self.key:
            return self.encoded if key == self.key else None
        position = {each: index for index, each in enumerate(self.key[1])}
        if key[0] != self.key[0] or not key[1] or not position.keys() >= set(key[1]):
            return None
        return take_docs(self.encoded, np.array([position[each] for each in key[1]]), self.n_tokens)

    def keep(self, key: Key, encoded: EncodedDocs, docs: list[Doc]) -> None:
        self.n_served, self.key, self.encoded = 0, key, encoded
        self.n_tokens = np.array([len(doc) for doc in docs], dtype=np.intp)
        kept_by_thread = vars(self)
        # A head that is disabled never asks. So the states go with the documents at the latest.
        self.first_doc = ref(docs[0], lambda _: kept_by_thread.clear()) if docs else None


@dataclass(eq=False)
class Pass:
    """A pass of the encoder over a batch to learn from.

    Attributes:
        key: What the states depend on.
        encoded: The states.
        backprop: Sends a gradient back through the encoder.
        gradient: The sum of the gradients that heads have sent so far.
    """

    key: Key
    encoded: EncodedDocs
    backprop: Backprop
    gradient: EncodedGradient | None = None


class SharedStates:
    """Run an encoder once for all heads that listen to it.

    In training the gradients of all heads are added up, and go through the encoder together. spaCy may ask for a step
    of the optimizer before the heads have been updated; then the step waits for them. That the last head has been
    updated is seen when every head has sent a gradient. Where some do not, because they are frozen or disabled, it is
    seen when the next batch comes, or when anything else needs the weights.

    In prediction each thread keeps the states of its last batch until every head has had them, in one go or in parts.
    They are computed again for a head that sees other documents, for documents whose tokens were changed in between,
    and after any change of the weights.

    Args:
        encoder: The encoder.

    Attributes:
        listeners: The layers that are connected, those of disabled heads among them.
        pipeline: The pipeline of the encoder, as far as it is known.
    """

    def __init__(self, encoder: BertEncoder) -> None:
        self.encoder = encoder
        self._reset([])

    def _reset(self, listeners: Iterable[Encoder]) -> None:
        self.listeners: WeakSet[Encoder] = WeakSet(listeners)
        self.pipeline: ReferenceType[Language] | None = None
        self._kept = _Kept()
        self._examples: Sequence[Example] = ()
        self._passes: list[Pass] = []
        self._updated: WeakSet[Encoder] = WeakSet()
        self._step: Callable[[], None] | None = None
        self._remembered: tuple[Hashable, SharedStates] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the states of the moment, when a process is given the encoder."""
        self.end_update()
        return {"encoder": self.encoder, "listeners": list(self.listeners)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take it over, in the process to which it was given."""
        self.encoder = state["encoder"]
        self._reset(state["listeners"])

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedStates:
        """Copy it with its encoder, but not for the copy of a component's model that spaCy keeps to rehearse."""
        copied = memo.get(id(self.encoder))
        return self if copied is None else SharedStates(copied)

    def may_be_disabled(self) -> bool:
        """Tell whether the encoder is disabled, or its pipeline unknown; spaCy links no component that is disabled."""
        return self.pipeline is None or self.pipeline() is None or self.is_disabled()

    def is_disabled(self) -> bool:
        """Tell whether the encoder is disabled, as far as its pipeline is known."""
        nlp = self.pipeline() if self.pipeline else None
        return nlp is not None and any(
            name in nlp.disabled and getattr(pipe, "states", None) is self for name, pipe in nlp.components
        )

    def remember(self) -> SharedStates:
        """Return what shares a copy of the encoder as it is now; the same copy until the weights change."""
        self.settle()
        if self._remembered is None or self._remembered[0] != self.encoder.version:
            self._remembered = self.encoder.version, SharedStates(self.encoder.copy())
        return self._remembered[1]

    def predict(self, docs: list[Doc]) -> EncodedDocs:
        """Return the states of a batch, computing them for the first head that asks."""
        # A head in `annotating_components` predicts before those after it are updated.
        if not self._is_learning_from(docs):
            self.settle()
        key = self._make_key(docs)
        kept = self._kept
        encoded = kept.find(key)
        if encoded is None:
            # One that annotates in training may ask for parts of the batch, and others after it for the rest.
            is_part = bool(docs) and self._is_learning_from(docs)
            batch = [example.predicted for example in self._examples] if is_part else docs
            kept.keep(self._make_key(batch), self.encoder.predict(batch), batch)
            encoded = cast(EncodedDocs, kept.find(key))
        kept.n_served += len(docs)
        if kept.key and kept.n_served >= len(self.listeners) * len(kept.key[1]):
            vars(kept).clear()
        return encoded

    def begin_update(self, examples: Sequence[Example]) -> None:
        """Note the batch that the heads learn from next; the first that is updated has the encoder run."""
        self.end_update()
        self._examples = examples

    def find_pass(self, docs: list[Doc]) -> Pass | None:
        """Return the pass over documents to learn from, or None if the encoder does not learn from them.

        The documents of one batch need more than one pass if a component between two heads changes their tokens.
        """
        if not self._is_learning_from(docs):
            return None
        key = self._make_key(docs)
        found = next((each for each in self._passes if each.key == key), None)
        if found is None:
            encoded, backprop = cast(tuple[EncodedDocs, Backprop], self.encoder.begin_update(docs))
            found = Pass(key, encoded, backprop)
            self._passes.append(found)
        return found

    def add_gradient(self, listener: Encoder, learning: Pass, gradient: EncodedGradient | None) -> None:
        """Add the gradient of a head to that of the others.

        Args:
            listener: The layer of the head.
            learning: What `find_pass` gave.
            gradient: The gradient, or None if the encoder is not to learn from this head.
        """
        if gradient is not None:
            total = learning.gradient or {}
            added = {output: total[output] + each if output in total else each for output, each in gradient.items()}
            learning.gradient = {**total, **added}
        if learning not in self._passes:  # It was sent before; torch raises if that cannot be done twice.
            self._passes.append(learning)
        self._updated.add(listener)
        if self.listeners <= self._updated:
            self.settle()

    def finish_update(self, step: Callable[[], None]) -> None:
        """Let the optimizer make a step, now or when the heads have been updated."""
        self._step = step
        if self._updated or not self._examples:
            self.end_update()

    def end_update(self) -> None:
        """Finish the update of the last batch: no head can send a gradient any more."""
        self.settle()
        self._examples = ()
        self._passes.clear()
        self._updated.clear()

    def settle(self) -> None:
        """Send the gradients that have come through the encoder, and make the step that waits for them."""
        learned = [each for each in self._passes if each.gradient is not None]
        self._passes = [each for each in self._passes if each.gradient is None]
        step, self._step = self._step, None
        for each in learned:
            gradient, each.gradient = cast(EncodedGradient, each.gradient), None
            each.backprop(gradient)
        if step is not None:
            step()

    def _is_learning_from(self, docs: list[Doc]) -> bool:
        """Tell whether documents, some or all, are those of the batch that is learned from."""
        current = {id(example.predicted) for example in self._examples}
        return bool(current) and all(id(doc) in current for doc in docs)

    def _make_key(self, docs: list[Doc]) -> Key:
        by_sentence, outputs = self.encoder.settings.windows_over == "sentences", self.encoder.outputs
        return self.encoder.version, tuple(make_key(doc, outputs, by_sentence=by_sentence) for doc in docs)
