"""What all components with a head share: labels, and verbs around them."""

# No `from __future__ import annotations`: spaCy reads the signature of `initialize` at run time.

import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Optimizer

from spacy_bertft.checkpoints import CheckpointHead, Task
from spacy_bertft.checkpoints.heads import OUTPUTS, TASKS, ProblemType
from spacy_bertft.components.entity_scores import Scorer
from spacy_bertft.components.predictions import Prediction, stack_judged
from spacy_bertft.components.rehearsal import RehearsingPipe
from spacy_bertft.components.training import warn_about_training
from spacy_bertft.data.pairs import SEGMENTS, is_unmarked_pair
from spacy_bertft.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    DataError,
    SettingError,
    UnsupportedError,
)
from spacy_bertft.models.heads.head import find_pretrained_head, warn_of_high_rate
from spacy_bertft.training.calibration import CalibrationData, measure_reliability

# Of pairs of texts.
_MARKING = (
    "For pairs, put the component text_pair first in the pipeline and, to train, in training.annotating_components, or "
    "make documents with spacy_bertft.data.pairs.make_pair."
)
UNMARKED_PAIR = (
    "a text has one U+001F, but it is not marked as a pair in doc.spans['text_pair'], or has no words on one side, so "
    f"it is read as a single text. {_MARKING}"
)
CUT_PAIR = (
    "a pair of texts does not fit one window of the encoder and loses the end of its longer text, as with Hugging "
    "Face's longest_first. Such pairs are counted in n_truncated."
)


class BertComponent(RehearsingPipe):
    """A trainable component with labels.

    A subclass says what the outputs of the model are, how gold annotation makes a loss, and how a document is
    annotated.

    Args:
        vocab: The vocabulary of the pipeline.
        model: Its model.
        name: Name of the component in the pipeline.
        scorer: Scores a batch of examples.
        settings: The component's own settings; they come from the config, never from a stored pipeline.

    Attributes:
        unknown_labels: How often each label occurred in gold annotation that the component does not have and ignored,
            since its labels were given to `initialize`.
    """

    def __init__(self, vocab: Vocab, model: Any, name: str, *, scorer: Scorer | None, **settings: Any) -> None:
        super().__init__(vocab, model, name, labels=[], ignore_unknown=False, **settings)
        self.scorer = scorer
        self.unknown_labels: Counter[str] = Counter()
        self._head: CheckpointHead | None = None
        self._warnings: set[str] = set()

    # What a subclass says.

    stored: tuple[str, ...] = ("labels", "ignore_unknown")  # what of `cfg` is stored with the weights
    has_labels = True  # or else each text has its own answers
    factory = ""  # of those that this class alone serves, also where another one makes it
    task: Task
    problem_type: ProblemType | None = None  # of a task with several, as transformers names it
    score_prefix: str  # of the calibration error, where predictions have a temperature
    cut = ""  # what is said once where a part of a text is not read, since it does not fit a window
    unmarked = ""  # what is said once where two texts are read as one

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Tell the model its outputs, before it is initialized: by default, one for each label."""
        self.model.n_labels = len(self.labels)

    def find_labels(self, examples: Iterable[Example], excluded: Collection[str] = ()) -> list[str]:
        """Find the labels that occur in gold annotation, sorted; those of other components can be left out."""
        return sorted({each for example in examples for each in self._read_labels(example, excluded)} - {*excluded})

    def _read_labels(self, example: Example, excluded: Collection[str] = ()) -> Iterable[str]:
        """Read the labels that occur in the gold annotation of an example; those that are excluded may be left out."""
        return ()

    def _check_neighbours(
        self, nlp: Language, labels: Sequence[str] | None, get_examples: Callable[[], Iterable[Example]]
    ) -> None:
        """Raise where it is not clear which gold annotation is for this component and which for another one."""

    def _needs_head(self, get_examples: Callable[[], Iterable[Example]]) -> bool:
        """Tell whether the examples teach nothing, so that only the head of a checkpoint can be taken."""
        return not self.labels

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List what the component says of a document.

        Args:
            source: A document that it has annotated; an example, to compare its predicted document with the gold
                annotation.
        """
        raise NotImplementedError

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict, and check which predictions are correct, leaving out those of which nothing is known.

        Args:
            examples: Their predicted documents hold what earlier components write.

        Raises:
            DataError: The gold annotation of a document makes no sense, or has a label that the component does not.
        """
        raise NotImplementedError

    def _score(self, docs: list[Doc]) -> Any:
        """Let the model score documents, and say what it does not read as it may be meant."""
        if self.unmarked and any(map(is_unmarked_pair, docs)):
            self._warn_once(self.unmarked)
        scores = self.model.predict(docs)
        self._warn_of_cut()
        return scores

    @property
    def n_truncated(self) -> int:
        """How many pairs, questions or endings, counted each time they were read, did not fit a window and were cut."""
        return self.model.n_truncated

    def _warn_of_cut(self) -> None:
        if self.n_truncated:
            self._warn_once(self.cut)

    # spaCy's verbs, in spaCy's order.

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the component can give."""
        return tuple(self.cfg["labels"])

    @property
    def outputs(self) -> Sequence[str]:
        """The outputs of the head, in order."""
        return self.labels if self.has_labels else OUTPUTS[self.task]

    @property
    def label_data(self) -> tuple[str, ...] | None:
        """The labels, as `spacy init labels` writes them."""
        return self.labels if self.has_labels else None

    def add_label(self, label: str) -> int:
        """Add a label, also to a trained component: what it has learned, and predicts, stays as it is.

        Returns:
            1, or 0 if it was there already.

        Raises:
            SettingError: It is no label.
        """
        with self._roll_back_on_error():
            n_added = self._add_label(label)
            if n_added and self.model.is_initialized:
                self._add_outputs(label)
        return n_added

    def add_labels(self, labels: Sequence[str], get_examples: Callable[[], Iterable[Example]]) -> None:
        """Add labels that occur in examples, as `add_label` does."""
        for label in labels:
            self.add_label(label)

    def _add_outputs(self, label: str) -> None:
        """Append what predicts a new label to the initialized model: by default, an output."""
        self.model.add_output()

    def _add_label(self, label: str) -> int:
        if not self.has_labels:
            raise UnsupportedError(f"{self.name} has no labels: each text has its own answers.")
        if not isinstance(label, str) or not label:
            raise SettingError(f"{self.name}: label", label, "a string that is not empty")
        if label in self.labels:
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Find the labels and load the encoder; where there are no labels, take the head of its checkpoint.

        After an error the component is what it was before.

        Args:
            get_examples: Gives examples; without `labels`, all are looked at.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them. Others in the examples, such as those of another
                component, are then ignored and counted in `unknown_labels`; otherwise they are an error.

        Raises:
            DataError: There are no labels, and the checkpoint has no head.
            CheckpointError: The encoder cannot be loaded, or its head.
            MissingEncoderError: The encoder is that of another component, which is not before this one.
            SettingError: A component with categories and one with numbers are in the pipeline, and `labels` of one are
                not given.
        """
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        self.encoder.check_link(nlp)
        if nlp is not None:
            warn_about_training(nlp, get_examples)
            self._check_neighbours(nlp, labels, get_examples)
        with self._roll_back_on_error():
            self.cfg["ignore_unknown"] = labels is not None
            if labels is None:
                labels = self.find_labels(get_examples())
            for label in labels:
                self._add_label(label)
            if self._needs_head(get_examples):
                self.take_head(self._find_head())
            self._set_outputs(get_examples)
            self.model.initialize()
            if "temperature" in self.cfg:
                self.cfg["temperature"] = 1.0  # one that was fitted belongs to other weights
            if self._head is not None:
                from spacy_bertft.models.heads.export import load_head  # which needs torch

                load_head(self.model, self._head)
                self._head = None

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score annotated examples: what the scorer gives, and the expected calibration error.

        It is None where the gold annotation says nothing of any prediction.
        """
        examples = list(examples)
        scores: dict[str, Any] = super().score(examples, **kwargs)
        if scores and "temperature" in self.cfg:
            probs, holds = stack_judged(each for example in examples for each in self.list_predictions(example))
            error = measure_reliability(probs, holds).calibration_error if len(probs) else None
            scores = scores | {f"{self.score_prefix}_calibration_error": error}
        return scores

    def _find_head(self) -> CheckpointHead:
        purpose = TASKS[self.task].purpose
        advice = f"annotated examples, labels from `spacy init labels`, or a checkpoint with a head that {purpose}"
        try:
            head = find_pretrained_head(self.model, self.task)
        except CheckpointNotFoundError as error:
            raise DataError(f"{self.name} found no labels. Expected {advice}. {error}") from error
        if head is None:
            raise DataError(f"{self.name} found no labels. Expected {advice}.")
        return head

    def take_head(self, head: CheckpointHead) -> None:
        """Take labels from the head of a checkpoint; `initialize` then takes its weights.

        Args:
            head: What `checkpoints.read_head` gives, perhaps with other names for its labels.

        Raises:
            SettingError: The component has labels already, or the head does something else.
        """
        if self.labels:
            raise SettingError("head", head.name, f"a component without labels; {self.name} has {len(self.labels)}")
        if head.task != self.task:
            raise SettingError(
                "head", head.name, f"a head that {TASKS[self.task].purpose}, not one that {TASKS[head.task].purpose}"
            )
        for label in self._read_head_labels(head):
            self._add_label(label)
        self._head = head

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        """Read the labels of the component off the outputs of a head."""
        return head.predicted if self.has_labels else ()

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        labels = self.cfg["labels"]
        is_named = isinstance(labels, list) and all(isinstance(label, str) and label for label in labels)
        if not is_named or len(set(labels)) < len(labels):
            raise CheckpointError("The labels are no list of different names. Expected what a component has stored.")
        if not isinstance(self.cfg["ignore_unknown"], bool):
            raise CheckpointError(f"ignore_unknown is {self.cfg['ignore_unknown']!r}. Expected true or false.")
        temperature = self.cfg.get("temperature", 1.0)
        if not isinstance(temperature, (int, float)) or not 0 < temperature < math.inf:
            raise CheckpointError(f"The temperature is {temperature!r}. Expected a number above 0.")
        for label in labels:
            self.vocab.strings.add(label)  # raises where a label is no text that spaCy may hold

    def _check_numbers(self, key: str) -> None:
        """Raise unless what was stored is a list of numbers, one for each label; empty before the weights are there.

        Raises:
            CheckpointError: It is not.
        """
        numbers = self.cfg[key]
        is_listed = isinstance(numbers, list) and all(isinstance(number, (int, float)) for number in numbers)
        if not is_listed or len(numbers) not in (0, len(self.labels)):
            raise CheckpointError(f"{key} is no list of numbers, one for each label.")

    def _has_labels_of_model(self) -> bool:
        """Tell whether the labels are those that the initialized model was made for: by default, as many."""
        return bool(len(self.outputs) == self.model.n_outputs)

    def _check_stored(self) -> None:
        if self.model.is_initialized and not self._has_labels_of_model():
            raise CheckpointError("The labels in cfg are not those of the model. Expected parts stored together.")

    def _is_known(self, label: str) -> bool:
        """Tell whether a gold label is one of the component's, and count one that is ignored.

        Raises:
            DataError: It is not, and the labels were not given to `initialize`.
        """
        if label in self.cfg["labels"]:
            return True
        if not self.cfg["ignore_unknown"]:
            check_known(self.name, label, self.labels)
        self._warn_once(
            f"the examples have the label '{label}', which is not among the labels that were given to initialize(). "
            "Such labels are ignored and counted in unknown_labels.",
            about="unknown labels",
        )
        self.unknown_labels[label] += 1
        return False

    def finish_update(self, sgd: Optimizer) -> None:
        """Change the weights."""
        self.has_warned = self.has_warned or warn_of_high_rate(self.name, self.model, sgd.learn_rate)
        super().finish_update(sgd)

    def _take_batch(self, examples: Iterable[Example], scores: Any, kind: type) -> list[Example]:
        """Return the examples of a batch for `get_loss`, with the scores that the model gave.

        Raises:
            UnsupportedError: The scores are what `predict` returns, which is decoded already.
        """
        if not isinstance(scores, kind):
            raise UnsupportedError(
                f"{self.name}.get_loss() got {type(scores).__name__}, perhaps from predict(). Expected the scores that "
                f"the model gives: get_loss(examples, {self.name}.model.predict(docs))."
            )
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.get_loss")
        self._warn_of_cut()
        return examples

    def _check_pairs(self, examples: Iterable[Example]) -> None:
        """Raise if the reference of an example is a pair and its predicted document is not.

        Raises:
            DataError: It is so; the component would learn from other texts than those that were annotated.
        """
        if any(SEGMENTS in each.reference.spans and SEGMENTS not in each.predicted.spans for each in examples):
            raise DataError(
                f"{self.name}: the reference of an example is marked as a pair in doc.spans['text_pair'], but its "
                f"predicted document is not, so it would be read as a single text. {_MARKING}"
            )

    def _warn_once(self, message: str, about: str = "") -> None:
        """Warn, unless the same was said before; `about` tells messages apart that name an example."""
        if (about or message) not in self._warnings:
            self._warnings.add(about or message)
            warnings.warn(f"{self.name}: {message} This is reported once.", stacklevel=4)


def check_known(name: str, label: str, labels: Iterable[str]) -> None:
    """Raise unless a gold label is one that the component can give.

    Raises:
        DataError: It is not.
    """
    if label not in labels:
        raise DataError(
            f"{name}: the examples hold the label '{label}', which it does not have. Expected one of "
            f"{', '.join(labels)}; initialize with examples of every label, or add it with add_label(); for a sourced "
            "component, spacy-bertft.add_labels.v1 in [initialize.before_init] does so. To ignore all others, give the "
            f"labels of this component in [initialize.components.{name}]."
        )
