"""`bert_multiple_choice`: a prompt and its endings → the probability of each ending in `doc.cats`, by its position."""

# No `from __future__ import annotations`: spaCy reads signatures at run time.

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.category_scores import list_choice
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.predictions import Prediction
from spacy_bertft.data.endings import list_positions
from spacy_bertft.errors import DataError, shorten
from spacy_bertft.models.heads.losses import Floats, compute_exclusive_loss, subtract_entropy
from spacy_bertft.models.heads.text import ChoiceModel, softmax
from spacy_bertft.training.calibration import CalibrationData

Scores = NDArray[np.float32]


class BertMultipleChoice(BertComponent):
    """Choose which of some endings fits a prompt; each document has its own, as many as it likes."""

    stored = (*BertComponent.stored, "temperature")
    has_labels = False
    factory = "bert_multiple_choice"
    score_prefix = "choice"
    task = "choice"
    model_type = ChoiceModel
    architecture = "spacy-bertft.MultipleChoice.v1"
    cut = (
        "a prompt with an ending does not fit one window of the encoder and loses the end of the longer of the two, as "
        "with Hugging Face's longest_first. Such endings are counted in n_truncated."
    )

    # spaCy's methods, in spaCy's order.

    def predict(self, docs: Iterable[Doc]) -> Floats:
        """Predict for a batch, without touching the documents: the probability of each ending, `(B, N)`.

        Raises:
            DataError: A document is no prompt with its endings.
        """
        return softmax(self._score(list(docs)) / np.float32(self.cfg["temperature"]))

    def set_annotations(self, docs: Iterable[Doc], probs: Floats) -> None:
        """Write probabilities to `doc.cats`, by position from "0" on."""
        for doc, row in zip(docs, probs.tolist(), strict=True):
            doc.cats.update(zip(list_positions(doc), row, strict=False))

    def get_loss(self, examples: Iterable[Example], scores: Scores) -> tuple[float, Floats]:
        """Compute the cross-entropy of a batch, a mean over documents, and its gradient, `(B, N)`.

        A document without gold annotation is left out.

        Raises:
            DataError: A document is no prompt with its endings, or its gold annotation names none of them.
            UnsupportedError: `scores` is what `predict` returns.
        """
        examples = self._take_batch(examples, scores.dtype.type(), np.float32)
        return self._compute_loss(scores, self._read_targets(examples))

    def _compute_distillation(
        self, examples: list[Example], scores: Scores, tutor: Scores, labels: Collection[str]
    ) -> tuple[float, Floats]:
        target = softmax(tutor)
        return subtract_entropy(lambda each: self._compute_loss(each, target), scores, target, exclusive=True)

    def _compute_loss(self, scores: NDArray[np.floating], target: Floats) -> tuple[float, Floats]:
        return compute_exclusive_loss(scores, target, np.ones(target.shape[1]), 0.0)

    # Predictions.

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the best ending."""
        return list_choice(self.name, source)

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict endings and check which are correct; see `BertComponent`."""
        scores, targets = self._score([example.predicted for example in examples]), self._read_targets(examples)
        is_known = targets.sum(axis=1) > 0
        scores, targets = scores[is_known], targets[is_known]
        return CalibrationData(
            compute_probs=lambda temperature: softmax(scores / temperature).max(axis=1),
            is_correct=scores.argmax(axis=1) == targets.argmax(axis=1),
            n_gold=len(targets),
        )

    def _score(self, docs: list[Doc]) -> Scores:
        for doc in docs:
            self._list_positions(doc)
        return super()._score(docs)

    def _list_positions(self, doc: Doc) -> list[str]:
        positions = list_positions(doc)
        if not positions:
            raise DataError(
                f"{self.name}: {shorten(repr(doc.text))} is no prompt with its endings. Expected a document of "
                "make_choice(nlp, prompt, endings): two or more endings, U+001F before each, none of them empty."
            )
        return positions

    # Gold annotation.

    def _read_targets(self, examples: Sequence[Example]) -> Floats:
        """Read the gold value of every ending, `(B, N)`; all 0 for a document of which nothing is known."""
        positions = [self._list_positions(example.predicted) for example in examples]
        targets = np.zeros((len(examples), max(map(len, positions), default=0)))
        for row, example, known in zip(targets, examples, positions, strict=True):
            cats = example.reference.cats
            row[: len(known)] = [cats.get(position, 0.0) for position in known]
            if cats and not (cats.keys() <= {*known} and row.min() >= 0 and abs(row.sum() - 1) < 1e-6):
                raise DataError(
                    f"{self.name}: doc.cats = {cats}. Expected the positions of its {len(known)} endings, '0' to "
                    f"'{known[-1]}': 1.0 for the right one."
                )
        return targets

    # What belongs to the weights.

    def _needs_head(self, get_examples: Callable[[], Iterable[Example]]) -> bool:
        return not self._read_targets([example for example in get_examples() if example.reference.cats]).any()

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        pass  # one, whatever the examples are
