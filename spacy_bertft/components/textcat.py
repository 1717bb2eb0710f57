"""`bert_textcat`: documents → `doc.cats`, of which one holds. `bert_textcat_multilabel`: any may hold."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

from spacy.language import Language
from spacy.training import Example

from spacy_bertft.components.text_classifier import TextClassifier
from spacy_bertft.errors import CheckpointError, DataError, SettingError


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
