"""`bert_textcat_multilabel`: documents → `doc.cats`, of which any may hold."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bertft.components.text_component import DEFAULT_MODEL, SCORE_WEIGHTS, ClassWeights, TextComponent
from spacy_bertft.errors import DataError
from spacy_bertft.models.heads.losses import compute_multilabel_loss
from spacy_bertft.models.heads.text import TextModel, sigmoid


@Language.factory(
    "bert_textcat_multilabel",
    assigns=["doc.cats"],
    default_config={
        "model": DEFAULT_MODEL,
        "threshold": 0.5,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "scorer": {"@scorers": "spacy-bertft.textcat_multilabel_scorer.v1"},
    },
    default_score_weights=SCORE_WEIGHTS,
)
def make_bert_textcat_multilabel(
    nlp: Language,
    name: str,
    model: TextModel,
    threshold: float,
    class_weights: ClassWeights,
    label_smoothing: float,
    scorer: Optional[Callable[..., dict[str, Any]]],  # noqa: UP045
) -> "BertTextcatMultilabel":
    """Make the component.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A text classifier.
        threshold: From this probability on the scorer takes a label to hold. `doc.cats` holds the probabilities of all
            labels in any case.
        class_weights: `"none"`, `"balanced"`, or a weight for each label where it holds.
        label_smoothing: Share of each target that is moved to one half.
        scorer: Scores a batch of examples.
    """
    return BertTextcatMultilabel(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        scorer=scorer,
    )


class BertTextcatMultilabel(TextComponent):
    """Classify documents by labels that may hold together, each with a probability of its own."""

    exclusive = False

    def _tell_unknown(self) -> str:
        return "They are left out of the scores."

    def _check_gold(self, cats: dict[str, float]) -> None:
        if any(not 0 <= value <= 1 for value in cats.values()):
            raise DataError(f"{self.name}: doc.cats = {cats}. Expected values from 0.0 to 1.0.")

    def _get_probs(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        return sigmoid(scores)

    def _pick_answers(
        self, scores: NDArray[np.float32], targets: NDArray[np.float64], is_known: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        return is_known

    def _compute_loss(
        self,
        scores: NDArray[np.float32],
        targets: NDArray[np.float64],
        is_known: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        return compute_multilabel_loss(scores, targets, is_known, weights, self.label_smoothing)
