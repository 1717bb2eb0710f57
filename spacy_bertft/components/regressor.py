"""`bert_regressor`: documents → numbers in `doc.cats`, each also as `doc._.<name>`."""

# No `from __future__ import annotations`: spaCy reads signatures at run time.

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import srsly
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.entity_scores import register
from spacy_bertft.components.predictions import Prediction, list_numbers
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.models.heads.losses import Floats, compute_squared_loss


class BertRegressor(TextComponent):
    """Predict one number of a document, or several.

    The model learns each number as its distance from the mean of the training data, in standard deviations. So numbers
    of any size are learned alike, and an untrained component predicts the mean.
    """

    factory = "bert_regressor"
    problem_type = "regression"
    stored = (*TextComponent.stored, "means", "deviations")

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List all numbers."""
        return list_numbers(self.name, self.labels, source)

    # Scores and numbers, and the loss.

    def _compute_values(self, scores: NDArray[np.float32]) -> Floats:
        n_labels = scores.shape[1]  # of an earlier model, fewer
        return scores * np.array(self.cfg["deviations"])[:n_labels] + np.array(self.cfg["means"])[:n_labels]

    def soften(self, values: Floats, temperature: float) -> Floats:
        """Return the values: numbers have no temperature."""
        return values

    def _invert_values(self, values: NDArray[np.floating]) -> Floats:
        return (values - np.array(self.cfg["means"])) / np.array(self.cfg["deviations"])

    def _compute_loss(
        self, scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_]
    ) -> tuple[float, Floats]:
        return compute_squared_loss(scores, self._invert_values(targets), is_known)

    def _compute_divergence(
        self, scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_], columns: NDArray[np.intp]
    ) -> tuple[float, Floats]:
        return self._compute_loss(scores, targets, is_known)

    def _check_gold(self, cats: Mapping[str, float]) -> None:
        if not all(map(math.isfinite, cats.values())):
            raise DataError(f"{self.name}: doc.cats = {cats}. Expected finite numbers; leave out those not known.")

    # What belongs to the weights.

    def add_labels(self, labels: Sequence[str], get_examples: Callable[[], Iterable[Example]]) -> None:
        """Add numbers that occur in examples; a new one starts as the mean of its values."""
        added = [label for label in labels if label not in self.labels]
        super().add_labels(labels, get_examples)
        with self._roll_back_on_error():
            self._measure(added, get_examples())

    def _add_label(self, label: str) -> int:
        register_number(label)
        return super()._add_label(label)

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        super()._set_outputs(get_examples)
        self.cfg["means"], self.cfg["deviations"] = ([value] * len(self.labels) for value in (0.0, 1.0))
        if self._head is None:  # the head of a checkpoint gives the numbers themselves
            self._measure(self.labels, get_examples())

    def _measure(self, labels: Sequence[str], examples: Iterable[Example]) -> None:
        """Find the mean and the deviation of numbers."""
        found: dict[str, list[float]] = {label: [] for label in labels}
        for example in examples:
            cats = {label: value for label, value in example.reference.cats.items() if label in found}
            self._check_gold(cats)
            for label, value in cats.items():
                found[label].append(value)
        for label, values in found.items():
            # As they are stored, so that predictions are the same afterwards.
            measured = [float(np.mean(values)), float(np.std(values))] if values else [0.0, 0.0]
            mean, deviation = srsly.json_loads(srsly.json_dumps(measured))
            column = self.labels.index(label)
            self.cfg["means"][column], self.cfg["deviations"][column] = mean, deviation or 1.0
            if not deviation:
                state = (
                    f"'{label}' is {values[0]:g} in all examples, or nearly so"
                    if values
                    else f"no example has '{label}'"
                )
                advice = "Expected values to learn from, in doc.cats of gold documents."
                warnings.warn(f"{self.name}: {state}, so it cannot be learned. {advice}", stacklevel=2)

    def fold_scale(self) -> None:
        """Let the scores of the model be the numbers themselves, as transformers has them, by other weights."""
        self.model.rescale(np.array(self.cfg["deviations"]), np.array(self.cfg["means"]))
        self.cfg["means"], self.cfg["deviations"] = ([value] * len(self.labels) for value in (0.0, 1.0))

    def _add_outputs(self, label: str) -> None:
        self.model.add_output(bias=0.0)
        self.cfg["means"].append(0.0)
        self.cfg["deviations"].append(1.0)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        for key, lowest in (("means", -math.inf), ("deviations", 0.0)):
            self._check_numbers(key)
            if not all(lowest < each < math.inf for each in self.cfg[key]):
                raise CheckpointError(f"{key} is {self.cfg[key]}. Expected finite numbers, deviations above 0.")
        for label in self.labels:
            register_number(label)


def register_number(name: str) -> None:
    """Register `doc._.<name>` as a shortcut for `doc.cats[name]`, None where there is no such number."""
    register(Doc, name, f"the value from doc.cats[{name!r}]", partial(find_number, name))


def find_number(name: str, doc: Doc) -> float | None:
    """Return a number of a document, or None if no component has predicted it."""
    return doc.cats.get(name)
