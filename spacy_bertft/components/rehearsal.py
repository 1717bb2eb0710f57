"""Rehearsal: a component goes on predicting what it predicted before, while it learns something new or nothing."""

# No `from __future__ import annotations`: spaCy reads signatures at run time.

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any, Optional

from spacy.training import Example, validate_examples
from thinc.api import Optimizer, set_dropout_rate

from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.training.optimizer import AdamW


class RehearsingPipe(BertPipe):
    """A component that can learn from the predictions that it made when `nlp.resume_training()` was called."""

    _tutor: Any = None
    _rehearsal_optimizer: Optional[AdamW] = None  # noqa: UP045

    @property
    def _rehearsal_model(self) -> Any:
        """The model as it was; spaCy sets this to a copy in `nlp.resume_training()`."""
        return self._tutor

    @_rehearsal_model.setter
    def _rehearsal_model(self, model: Any) -> None:
        self._tutor = model
        if isinstance(self.encoder, SharedEncoder) and self.encoder.states is not None:
            model.encoder.connect(self.encoder.states.remember())  # all heads have the same copy of their encoder

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,  # noqa: UP045
        losses: Optional[dict[str, float]] = None,  # noqa: UP045
    ) -> dict[str, float]:
        """Learn to predict what the component predicted when `nlp.resume_training()` was called.

        What it learns is the probability of each label, relative to the labels that there were then; the probability of
        labels that were added later is left alone. A shared encoder learns too, unless it is disabled. Gold annotation
        is not looked at.

        Args:
            examples: Their predicted documents are the texts.
            drop: Rate of dropout.
            sgd: The optimizer; None to only add up gradients. `nlp.rehearse` passes a function that keeps the gradients
                of one component alone: instead of it, an optimizer of this component takes the step, at the same rate.
            losses: Losses by component, to which the mean Kullback-Leibler divergence is added.

        Raises:
            UnsupportedError: The encoder that is shared is the `transformer` of spacy-transformers.

        Source: Hinton, Vinyals & Dean (2015), with a temperature of 1.
        """
        return self.distill(examples, labels=(), drop=drop, sgd=sgd, losses=losses)

    def distill(
        self,
        examples: Iterable[Example],
        *,
        labels: Collection[str],
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,  # noqa: UP045
        losses: Optional[dict[str, float]] = None,  # noqa: UP045
    ) -> dict[str, float]:
        """Learn some labels from gold annotation, and of all others what the component predicted before.

        Where gold annotation of these labels leaves open which of the others holds, the probabilities are the target
        that the component had when `nlp.resume_training()` was called, given that annotation. Labels that were added
        later and are not among these are left alone.

        Args:
            examples: Annotated for these labels.
            labels: The labels; none, to `rehearse`. `bert_tagger` and the text classifiers learn from every tag and
                category that is there: for them, what is not annotated has no value.
            drop: Rate of dropout.
            sgd: See `rehearse`.
            losses: Losses by component, to which that of this one is added.

        Raises:
            DataError: The gold annotation has a label that the component does not have.
            UnsupportedError: The encoder that is shared is the `transformer` of spacy-transformers.

        Source: Li & Hoiem (2016), Learning without Forgetting, with a temperature of 1.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.distill")
        docs = [example.predicted for example in examples]
        if self._tutor is None:
            self._warn_once("there is nothing to rehearse before nlp.resume_training().")
        if self._tutor is None or not any(map(len, docs)):
            return losses
        set_dropout_rate(self.model, drop)
        states = self.encoder.states if isinstance(self.encoder, SharedEncoder) else None
        if states is None and isinstance(self.encoder, SharedEncoder):
            raise UnsupportedError(f"{self.name} cannot rehearse over a stock transformer. Expected a bert_encoder.")
        if states is not None:
            states.begin_update([] if states.is_disabled() else examples)
        scores, backprop = self.model.begin_update(docs)
        loss, gradient = self._compute_distillation(examples, scores, self._tutor.predict(docs), labels)
        backprop(gradient)
        step = self._choose_optimizer(sgd)
        if step is not None:
            self.finish_update(step)
        if states is not None:
            states.finish_update(partial(states.encoder.finish_update, step) if step else lambda: None)
        losses[self.name] += loss
        return losses

    def _compute_distillation(
        self, examples: list[Example], scores: Any, tutor: Any, labels: Collection[str]
    ) -> tuple[float, Any]:
        """Compute the loss of scores and its gradient, by gold annotation and the scores of the model as it was."""
        raise NotImplementedError

    def _choose_optimizer(self, sgd: Any) -> Optional[Optimizer]:  # noqa: UP045
        if not sgd or isinstance(sgd, Optimizer):
            return sgd or None
        if self._rehearsal_optimizer is None:
            self._rehearsal_optimizer = AdamW(sgd.learn_rate, weight_decay=0.0, beta1=sgd.b1, beta2=sgd.b2)
        self._rehearsal_optimizer.learn_rate = sgd.learn_rate
        return self._rehearsal_optimizer
