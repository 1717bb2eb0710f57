"""What `bert_textcat` and `bert_textcat_multilabel` share: a score for every label of a document."""

# No `from __future__ import annotations`: spaCy reads the signature of `initialize` at run time.

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Optional, Union

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab

from spacy_bertft.checkpoints import NEVER, CheckpointHead
from spacy_bertft.components.category_scores import UnknownLabelsWarning, count_unknown_labels, format_unknown_labels
from spacy_bertft.components.component import BertComponent, Scorer
from spacy_bertft.components.pipe import DEFAULT_ENCODER
from spacy_bertft.components.predictions import Prediction, list_categories, list_gold_labels
from spacy_bertft.components.text_pair import PairWarnings, check_pairs
from spacy_bertft.errors import CheckpointError, SettingError, UnsupportedError
from spacy_bertft.models.heads.text import TextModel
from spacy_bertft.training.class_weights import find_class_weights
from spacy_bertft.training.temperature import Answers

# confection reads this at run time.
ClassWeights = Union[Literal["none", "balanced"], dict[str, float]]  # noqa: UP007

DEFAULT_MODEL = {
    "@architectures": "spacy-bertft.TextClassifier.v1",
    "pooling": "cls",
    "windows": "mean",
    "dropout": None,
    "head_lr_scale": 1.0,
    "encoder": DEFAULT_ENCODER,
}

# Those of spaCy's own components.
SCORE_WEIGHTS = {
    "cats_score": 1.0,
    "cats_score_desc": None,
    "cats_micro_p": None,
    "cats_micro_r": None,
    "cats_micro_f": None,
    "cats_macro_p": None,
    "cats_macro_r": None,
    "cats_macro_f": None,
    "cats_macro_auc": None,
    "cats_f_per_type": None,
}


class TextComponent(BertComponent):
    """A component that gives every label of a document a probability.

    Args:
        vocab: The vocabulary of the pipeline.
        model: A text classifier.
        name: Name of the component in the pipeline.
        threshold: From which probability on the scorer takes a label to hold.
        class_weights: How much each label counts in the loss.
        label_smoothing: Share of the target that is spread.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    stored: tuple[str, ...] = (*BertComponent.stored, "label_weights", "temperature")
    task = "text"

    def __init__(
        self,
        vocab: Vocab,
        model: TextModel,
        name: str,
        *,
        threshold: float,
        class_weights: str | dict[str, float],
        label_smoothing: float,
        scorer: Scorer | None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise SettingError("threshold", threshold, "a probability from 0 to 1")
        if not 0 <= label_smoothing < 1:
            raise SettingError("label_smoothing", label_smoothing, "a share from 0 up to, but not 1")
        super().__init__(vocab, model, name, scorer=scorer, threshold=threshold, label_weights=[], temperature=1.0)
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self._pair_warnings = PairWarnings()

    # What a subclass says.

    exclusive: bool

    def _check_gold(self, cats: dict[str, float]) -> None:
        """Raise unless the gold annotation of a document makes sense."""
        raise NotImplementedError

    def _tell_unknown(self) -> str:
        """Tell what becomes of texts with labels that no component has, when they are scored."""
        raise NotImplementedError

    def _get_probs(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Turn logits into probabilities."""
        raise NotImplementedError

    def _compute_loss(
        self,
        scores: NDArray[np.float32],
        targets: NDArray[np.float64],
        is_known: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        """Compute the loss of a batch and its gradient; all arrays but the weights are `(B, L)`."""
        raise NotImplementedError

    # spaCy's verbs, in spaCy's order.

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,  # noqa: UP045
        labels: Optional[Sequence[str]] = None,  # noqa: UP045
    ) -> None:
        """Find the labels and their weights, and load the encoder.

        Args:
            get_examples: Gives examples; all are looked at.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them.

        Raises:
            DataError: There are no labels, or gold annotation makes no sense.
            SettingError: `class_weights` does not fit the labels.
            CheckpointError: The encoder cannot be loaded.
        """
        with self._roll_back_on_error():
            super().initialize(get_examples, nlp=nlp, labels=labels)
            self.cfg["label_weights"] = self._find_weights(get_examples())

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        if head.is_multilabel is not None and head.is_multilabel == self.exclusive:
            right = "bert_textcat_multilabel" if head.is_multilabel else "bert_textcat"
            raise SettingError("head", head.name, f"the component {right} for it, as its problem_type says")
        if head.never:
            raise SettingError("labels", NEVER, f"a name for every category of {head.name}; only tags can be left out")
        return head.labels

    def _read_labels(self, example: Example) -> Iterable[str]:
        self._check_gold(example.reference.cats)
        return list(example.reference.cats)

    def _set_outputs(self) -> None:
        self.model.n_labels = len(self.labels)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        weights = self.cfg["label_weights"]
        is_listed = isinstance(weights, list) and all(isinstance(weight, (int, float)) for weight in weights)
        if not is_listed or len(weights) not in (0, len(self.labels)) or not np.isfinite(weights).all():
            raise CheckpointError("label_weights is no list of numbers, one for each label.")

    def _has_labels_of_model(self) -> bool:
        return bool(len(self.labels) == self.model.n_labels)

    def _find_weights(self, examples: Iterable[Example]) -> list[float]:
        counts: Counter[str] = Counter()
        known: Counter[str] = Counter()
        lowest: dict[str, float] = {}
        if self.class_weights == "balanced" or not self.exclusive:
            for example in examples:
                cats = example.reference.cats
                known.update(cats.keys())
                counts.update(list_gold_labels(cats, self.labels, exclusive=self.exclusive))
                lowest.update({label: min(value, lowest.get(label, value)) for label, value in cats.items()})
        if not self.exclusive:
            self._warn_of_always_positive([label for label in self.labels if lowest.get(label, 0.0) >= 0.5])
        by_label = ([counts[label] for label in self.labels], [known[label] for label in self.labels])
        weights = find_class_weights(self.class_weights, self.labels, *by_label, exclusive=self.exclusive)
        found: list[float] = weights.tolist()
        return found

    def _warn_of_always_positive(self, labels: list[str]) -> None:
        if labels:
            warnings.warn(
                f"{self.name}: in the examples, these labels always hold: {', '.join(labels[:5])} ({len(labels)} of "
                f"{len(self.labels)}). A label without a value is unknown, not 0: the component would learn to predict "
                "them for every text. Expected doc.cats with 0.0 for labels that do not hold.",
                stacklevel=2,
            )

    def get_loss(self, examples: Iterable[Example], scores: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
        """Compute the loss of a batch, a mean, and its gradient.

        Raises:
            DataError: The gold annotation of a document makes no sense, or has a label that the component does not; or
                it is a pair of texts and the predicted document is not.
            UnsupportedError: `scores` is what `predict` returns: probabilities.
        """
        if scores.dtype != np.float32:
            raise UnsupportedError(
                f"{self.name}.get_loss() got {scores.dtype} scores, perhaps probabilities from predict(). Expected the "
                f"float32 scores that the model gives: get_loss(examples, {self.name}.model.predict(docs))."
            )
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.get_loss")
        check_pairs(self.name, examples)
        self._pair_warnings.warn_of_cut(self.name, self.n_truncated)
        targets, is_known = self._read_targets(examples)
        return self._compute_loss(scores, targets, is_known, np.array(self.cfg["label_weights"]))

    def _read_targets(self, examples: list[Example]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Read the gold value of every label, `(B, L)`, and whether it is known."""
        shape = (len(examples), len(self.labels))
        targets, is_known = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        column = {label: index for index, label in enumerate(self.labels)}
        for row, example in enumerate(examples):
            cats = {label: value for label, value in example.reference.cats.items() if self._is_known(label)}
            self._check_gold(cats)
            for label, value in cats.items():
                targets[row, column[label]] = value
                is_known[row, column[label]] = True
        return targets, is_known

    def _read_truth(self, examples: list[Example]) -> NDArray[np.bool_]:
        """Read which labels hold, `(B, L)`."""
        held = [list_gold_labels(each.reference.cats, self.labels, exclusive=self.exclusive) for each in examples]
        rows = [[label in labels for label in self.labels] for labels in held]
        return np.array(rows, dtype=np.bool_).reshape(len(examples), len(self.labels))

    def _pick_answers(
        self, scores: NDArray[np.float32], targets: NDArray[np.float64], is_known: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Pick the answers whose confidence counts, as a mask `(B, L)`, among those of which the truth is known."""
        raise NotImplementedError

    def collect_answers(self, examples: list[Example]) -> Answers:
        """Predict categories and look which are right: the best of exclusive labels, each of others.

        Args:
            examples: Their predicted documents hold what earlier components write.

        Raises:
            DataError: The gold annotation of a document makes no sense, or has a label that the component does not.
        """
        check_pairs(self.name, examples)
        scores = self._score([example.predicted for example in examples])
        targets, is_known = self._read_targets(examples)
        answered = self._pick_answers(scores, targets, is_known)
        holds = self._read_truth(examples)
        return Answers(
            find_probs=lambda temperature: self._get_probs(scores / np.float32(temperature))[answered],
            is_right=holds[answered],
            n_gold=int(holds.sum()),
        )

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the best of labels that exclude each other, or each label."""
        threshold: float = self.cfg["threshold"]
        return list_categories(self.name, self.labels, source, exclusive=self.exclusive, threshold=threshold)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score annotated examples: what the scorer gives, and `cats_calibration_error`.

        A warning names gold labels that no component of the pipeline has.
        """
        examples = list(examples)
        if unknown := count_unknown_labels(examples, self.labels):
            note = format_unknown_labels(unknown)
            message = f"{self.name}: texts have gold labels that no component of the pipeline has: {note}. "
            warnings.warn(message + self._tell_unknown(), UnknownLabelsWarning, stacklevel=2)
        scores: dict[str, Any] = super().score(examples, **kwargs)
        return scores and scores | {"cats_calibration_error": self.measure_calibration_error(examples)}

    def predict(self, docs: Iterable[Doc]) -> NDArray[np.float64]:
        """Predict for a batch, without touching the documents: `(B, L)` probabilities."""
        return self._get_probs(self._score(list(docs)) / np.float32(self.cfg["temperature"]))

    def _score(self, docs: list[Doc]) -> NDArray[np.float32]:
        self._pair_warnings.warn_of_unmarked(self.name, docs)
        scores: NDArray[np.float32] = self.model.predict(docs)
        self._pair_warnings.warn_of_cut(self.name, self.n_truncated)
        return scores

    @property
    def n_truncated(self) -> int:
        """How many pairs of texts, counted each time they were read, did not fit one window and were cut."""
        n_pairs: int = self.model.truncation.n_pairs
        return n_pairs

    def set_annotations(self, docs: Iterable[Doc], scores: NDArray[np.float64]) -> None:
        """Write probabilities to `doc.cats`."""
        for doc, row in zip(docs, scores.tolist(), strict=True):
            doc.cats.update(zip(self.labels, row, strict=True))
