"""`bert_textcat`: documents → `doc.cats`, of which one holds."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline.textcat import textcat_score
from spacy.training import Example

from spacy_bertft.components.text_component import DEFAULT_MODEL, SCORE_WEIGHTS, ClassWeights, TextComponent
from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.models.heads.losses import compute_exclusive_loss
from spacy_bertft.models.heads.text import TextModel, softmax


@Language.factory(
    "bert_textcat",
    assigns=["doc.cats"],
    default_config={
        "model": DEFAULT_MODEL,
        "threshold": 0.0,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "scorer": {"@scorers": "spacy-bertft.textcat_scorer.v1"},
    },
    default_score_weights=SCORE_WEIGHTS,
)
def make_bert_textcat(
    nlp: Language,
    name: str,
    model: TextModel,
    threshold: float,
    class_weights: ClassWeights,
    label_smoothing: float,
    scorer: Optional[Callable[..., dict[str, Any]]],  # noqa: UP045
) -> "BertTextcat":
    """Make the component.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A text classifier.
        threshold: From which probability on a scorer takes a label to hold. Ours and spaCy's take the best of exclusive
            labels, whatever its probability.
        class_weights: `"none"`, `"balanced"`, or a weight for each label.
        label_smoothing: Share of the target that is spread over all labels.
        scorer: Scores a batch of examples.
    """
    return BertTextcat(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        scorer=scorer,
    )


class BertTextcat(TextComponent):
    """Classify documents by exclusive labels; their probabilities sum to one."""

    exclusive = True
    stored = (*TextComponent.stored, "positive_label")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.cfg["positive_label"] = None

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
            get_examples: Gives examples; all are looked at.
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

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        positive_label = self.cfg["positive_label"]
        if positive_label is not None and positive_label not in self.labels:
            raise CheckpointError(f"The positive_label is {positive_label!r}. Expected nothing, or one of the labels.")

    def _set_outputs(self) -> None:
        if len(self.labels) < 2:
            raise DataError(
                f"{self.name} has the single label '{self.labels[0]}'. Expected two or more; for a label that holds or "
                "does not, use bert_textcat_multilabel."
            )
        super()._set_outputs()

    def _tell_unknown(self) -> str:
        if self.scorer is textcat_score:
            return "spaCy's scorer counts such a text for another label; use spacy-bertft.textcat_scorer.v1."
        return "A text that has no other label is scored as an error."

    def _check_gold(self, cats: dict[str, float]) -> None:
        if any(not 0 <= value <= 1 for value in cats.values()) or sum(cats.values()) > 1 + 1e-6:
            raise DataError(
                f"{self.name}: doc.cats = {cats}. Expected one label at 1.0, or values that sum to 1. Labels that "
                "may hold together need bert_textcat_multilabel."
            )

    def _get_probs(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        return softmax(scores)

    def _pick_answers(
        self, scores: NDArray[np.float32], targets: NDArray[np.float64], is_known: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        answered = np.zeros(scores.shape, dtype=np.bool_)
        known = np.flatnonzero((targets > 0).any(axis=1))
        answered[known, scores[known].argmax(axis=1)] = True
        return answered

    def _compute_loss(
        self,
        scores: NDArray[np.float32],
        targets: NDArray[np.float64],
        is_known: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        return compute_exclusive_loss(scores, targets, weights, self.label_smoothing)
