"""`bert_textcat`: documents → `doc.cats`, of which one holds. `bert_textcat_multilabel`: any may hold."""

# No `from __future__ import annotations`: spaCy and confection read signatures at run time.

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline.textcat import textcat_score
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.category_scores import (
    CANDIDATES,
    UnknownLabelsWarning,
    count_unknown_labels,
    format_unknown_labels,
)
from spacy_bertft.components.guarantee import GuaranteedComponent
from spacy_bertft.components.predictions import Prediction, list_categories, list_gold_labels
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.errors import CheckpointError, DataError, SettingError, UnsupportedError
from spacy_bertft.models.heads.losses import (
    Floats,
    compute_exclusive_loss,
    compute_multilabel_loss,
    subtract_entropy,
)
from spacy_bertft.models.heads.text import sigmoid, softmax
from spacy_bertft.training.calibration import CalibrationData
from spacy_bertft.training.risk_control import GoldProbs


class TextClassifier(GuaranteedComponent, TextComponent):
    """A component that gives every label of a document a probability."""

    stored: tuple[str, ...] = (*TextComponent.stored, "label_weights", "temperature", "guarantee")
    score_prefix = "cats"
    guarantee_of = "categories"
    candidates_in = "doc._.bertft_candidates['{}']"

    def set_annotations(self, docs: Iterable[Doc], scores: Floats) -> None:
        """Write probabilities to `doc.cats` and, where a recall is promised, candidates to `doc._.bertft_candidates`.

        By component these are the labels that are likely enough, the most likely one first; there may be none.
        """
        docs = list(docs)
        super().set_annotations(docs, scores)
        if (threshold := self.candidate_threshold) is not None:
            for doc, row in zip(docs, scores, strict=True):
                labels = [self.labels[column] for column in np.argsort(-row, kind="stable") if row[column] >= threshold]
                doc._.set(CANDIDATES, {**(doc._.get(CANDIDATES) or {}), self.name: labels})

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score annotated examples: what the scorer gives, and `cats_calibration_error`.

        A warning names gold labels that no component of the pipeline has.
        """
        examples = list(examples)
        if unknown := count_unknown_labels(examples, self.labels):
            effect = "They are left out of the scores."
            if self.scorer is textcat_score:
                effect = "spaCy's scorer counts such a text for another label; use spacy-bertft.textcat_scorer.v1."
            elif self.exclusive:
                effect = "A text that has no other label is scored as an error."
            note = f"texts have gold labels that no component of the pipeline has: {format_unknown_labels(unknown)}"
            warnings.warn(f"{self.name}: {note}. {effect}", UnknownLabelsWarning, stacklevel=2)
        return super().score(examples, **kwargs)

    # Predictions.

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the best of labels that exclude each other, or each label."""
        threshold: float = self.cfg["threshold"]
        return list_categories(self.name, self.labels, source, exclusive=self.exclusive, threshold=threshold)

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict categories and check which are correct: the best of exclusive labels, each of others."""
        self._check_pairs(examples)
        scores = self._score([example.predicted for example in examples])
        targets, is_judged = self._read_targets(examples)
        if self.exclusive:  # the best label of each document whose class is known
            is_best = np.arange(len(self.labels)) == scores.argmax(axis=1)[:, None]
            is_judged = is_best & (targets.sum(axis=1, keepdims=True) > 0)
        holds = self._read_held(examples)
        return CalibrationData(
            compute_probs=lambda temperature: self._compute_values(scores / np.float32(temperature))[is_judged],
            is_correct=holds[is_judged],
            n_gold=int(holds.sum()),
        )

    def collect_gold_probs(self, examples: list[Example]) -> GoldProbs:
        """Predict, and read the probabilities of the gold categories; see `GuaranteedComponent`."""
        self._check_pairs(examples)
        self._read_targets(examples)  # which checks them
        values, holds = self.predict([example.predicted for example in examples]), self._read_held(examples)
        return GoldProbs(
            values[holds], np.nonzero(holds)[0], len(examples), lambda threshold: int((values >= threshold).sum())
        )

    def _read_held(self, examples: list[Example]) -> NDArray[np.bool_]:
        """Read which labels hold, `(B, L)`."""
        held = [list_gold_labels(each.reference.cats, self.labels, exclusive=self.exclusive) for each in examples]
        holds = [[label in labels for label in self.labels] for labels in held]
        return np.array(holds, dtype=np.bool_).reshape(len(held), len(self.labels))

    # Scores and probabilities, and the loss.

    def _compute_values(self, scores: NDArray[np.float32]) -> Floats:
        return (softmax if self.exclusive else sigmoid)(scores)

    def _invert_values(self, values: NDArray[np.floating]) -> Floats:
        """Compute scores that have these probabilities; of exclusive labels, any constant could be added to them."""
        if not ((values >= 0) & (values <= 1)).all():
            expected = f"those of predict(), or the float32 scores that {self.name}.model.predict(docs) gives"
            found = f"{self.name}.get_loss() got {values.dtype} that are no probabilities"
            raise UnsupportedError(f"{found}. Expected {expected}.")
        probs = values.astype(np.float64).clip(1e-30, 1 - 1e-15)
        return self.cfg["temperature"] * (np.log(probs) - (0.0 if self.exclusive else np.log1p(-probs)))

    def _compute_loss(
        self,
        scores: NDArray[np.floating],
        targets: Floats,
        is_known: NDArray[np.bool_],
        *,
        is_plain: bool = False,
    ) -> tuple[float, Floats]:
        """Compute the loss; if it is plain, without weights and smoothing."""
        weights = np.array([1.0] * scores.shape[1] if is_plain else self.cfg["label_weights"], dtype=np.float64)
        smoothing = 0.0 if is_plain else self.cfg["label_smoothing"]
        if self.exclusive:
            return compute_exclusive_loss(scores, targets, weights, smoothing)
        return compute_multilabel_loss(scores, targets, is_known, weights, smoothing)

    def _compute_divergence(
        self, scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_], columns: NDArray[np.intp]
    ) -> tuple[float, Floats]:
        targets, is_known = targets[:, columns], is_known[:, columns]
        compute = partial(self._compute_loss, targets=targets, is_known=is_known, is_plain=True)
        gradient = np.zeros(scores.shape)
        loss, gradient[:, columns] = subtract_entropy(compute, scores[:, columns], targets, exclusive=self.exclusive)
        return loss, gradient

    # Gold annotation.

    def _check_gold(self, cats: Mapping[str, float]) -> None:
        """Raise unless the gold annotation of a document makes sense."""
        is_valid = all(0 <= value <= 1 for value in cats.values())
        if self.exclusive and not (is_valid and sum(cats.values()) <= 1 + 1e-6):
            raise DataError(
                f"{self.name}: doc.cats = {cats}. Expected one label at 1.0, or values that sum to 1. Labels that "
                "may hold together need bert_textcat_multilabel."
            )
        if not is_valid:
            raise DataError(f"{self.name}: doc.cats = {cats}. Expected values from 0.0 to 1.0.")

    def _compute_weights(self, examples: Iterable[Example]) -> list[float]:
        """Compute how much each label counts in the loss."""
        exclusive, setting = self.exclusive, self.cfg["class_weights"]
        cats = [] if exclusive and setting != "balanced" else [each.reference.cats for each in examples]
        counts, known = defaultdict[str, float](float), Counter(label for each in cats for label in each)
        for label, value in (pair for each in cats for pair in each.items()):
            counts[label] += value  # which, of teachers, is neither 0 nor 1
        may_lack = {label for each in cats for label, value in each.items() if value < 0.5}
        always = [label for label in self.labels if known[label] and label not in may_lack]
        if always and not exclusive:
            warnings.warn(
                f"{self.name}: in the examples, these labels always hold: {', '.join(always[:5])} ({len(always)} of "
                f"{len(self.labels)}). A label without a value is unknown, not 0: the component would learn to predict "
                "them for every text. Expected doc.cats with 0.0 for labels that do not hold.",
                stacklevel=2,
            )
        by_label = ([each[label] for label in self.labels] for each in (counts, known))
        return compute_class_weights(setting, self.labels, *by_label, exclusive=exclusive)

    # What belongs to the weights.

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        super()._set_outputs(get_examples)
        self.cfg["label_weights"] = self._compute_weights(get_examples())

    def _add_outputs(self, label: str) -> None:
        super()._add_outputs(label)
        weights = self.cfg["class_weights"]
        self.cfg["label_weights"].append(float(weights.get(label, 1.0)) if isinstance(weights, Mapping) else 1.0)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        self._check_numbers("label_weights")
        if not np.isfinite(self.cfg["label_weights"]).all():
            raise CheckpointError("label_weights is no list of numbers, one for each label.")


class BertTextcat(TextClassifier):
    """Classify documents by exclusive labels; their probabilities sum to one."""

    exclusive = True
    problem_type = "single_label_classification"
    stored = (*TextClassifier.stored, "positive_label")

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,  # noqa: UP045
        labels: Optional[Sequence[str]] = None,  # noqa: UP045
        positive_label: Optional[str] = None,  # noqa: UP045
    ) -> None:
        """Find the labels and their weights, and load the encoder.

        Args:
            get_examples: Gives examples; all are read.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them.
            positive_label: Of two labels, the one whose precision, recall and F1 the scorer reports.

        Raises:
            DataError: There are not two labels, or gold annotation makes no sense.
            SettingError: `positive_label` is none of two labels, or `class_weights` does not fit the labels.
            CheckpointError: The encoder cannot be loaded.
        """
        with self._roll_back_on_error():
            super().initialize(get_examples, nlp=nlp, labels=labels)
            if positive_label is not None and (positive_label not in self.labels or len(self.labels) != 2):
                labels_found = ", ".join(self.labels)
                raise SettingError("positive_label", positive_label, f"one of two labels, not of {labels_found}")
            self.cfg["positive_label"] = positive_label

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        if len(self.labels) < 2:
            raise DataError(
                f"{self.name} has the single label '{self.labels[0]}'. Expected two or more; for a label that holds or "
                "does not, use bert_textcat_multilabel."
            )
        super()._set_outputs(get_examples)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        positive_label = self.cfg["positive_label"]
        if positive_label is not None and positive_label not in self.labels:
            raise CheckpointError(f"The positive_label is {positive_label!r}. Expected nothing, or one of the labels.")


class BertTextcatMultilabel(TextClassifier):
    """Classify documents by labels that may hold together, each with a probability of its own."""

    exclusive = False
    problem_type = "multi_label_classification"


def compute_class_weights(
    setting: str | Mapping[str, float],
    labels: Sequence[str],
    counts: Sequence[float],
    n_known: Sequence[float],
    *,
    exclusive: bool,
) -> list[float]:
    """Compute how much each label counts in the loss.

    Args:
        setting: `"none"`, `"balanced"`, or a weight for some labels; the others then have 1.
        labels: The `L` labels.
        counts: For each, the documents that have it.
        n_known: For each, the documents of which it is known whether they have it; used only where labels may hold
            together.
        exclusive: Whether a document has one label. Balanced weights are then as if all labels were equally frequent;
            if not, as if each label held as often as not.

    Raises:
        SettingError: The setting is none of these, or names a label that does not exist.

    Example:
        >>> weights = compute_class_weights("balanced", ["ham", "spam"], [75, 25], [100, 100], exclusive=True)
        >>> [round(weight, 2) for weight in weights]
        [0.67, 2.0]

    Source: King & Zeng (2001), as in scikit-learn's `compute_class_weight`.
    """
    if setting == "balanced":
        if exclusive:
            return [sum(counts) / (len(labels) * max(count, 1)) for count in counts]
        return [max(known - count, 1) / max(count, 1) for count, known in zip(counts, n_known, strict=True)]
    if isinstance(setting, str) and setting != "none":
        raise SettingError("class_weights", setting, "none, balanced, or a weight for each label")
    by_label = {} if isinstance(setting, str) else setting
    for label, weight in by_label.items():
        if label not in labels or weight < 0:
            raise SettingError("class_weights", {label: weight}, f"weights from 0 on for {', '.join(labels)}")
    return [float(by_label.get(label, 1.0)) for label in labels]
