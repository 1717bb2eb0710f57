"""What the components share that give every label of a document a value, which they write to `doc.cats`."""

# No `from __future__ import annotations`: spaCy reads the signature of `initialize` at run time.

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.checkpoints import CheckpointHead
from spacy_bertft.checkpoints.heads import NEVER, ProblemType
from spacy_bertft.components.component import CUT_PAIR, UNMARKED_PAIR, BertComponent
from spacy_bertft.data.endings import list_positions
from spacy_bertft.errors import SettingError
from spacy_bertft.models.heads.losses import Floats, merge_targets
from spacy_bertft.models.heads.text import TextModel

TextFactory = Literal["bert_textcat", "bert_textcat_multilabel", "bert_regressor"]
FACTORIES: dict[ProblemType, TextFactory] = {
    "single_label_classification": "bert_textcat",
    "multi_label_classification": "bert_textcat_multilabel",
    "regression": "bert_regressor",
}


def is_regressor(pipe: Any) -> bool:
    """Tell whether a component predicts numbers."""
    return getattr(pipe, "problem_type", None) == "regression"


def list_neighbours(nlp: Language, pipe: BertComponent) -> list[tuple[str, Any]]:
    """List the other components of a pipeline that write `doc.cats` as a component does.

    Disabled ones too: while some are initialized, spaCy's training disables those that have weights already.
    """
    if not isinstance(pipe, TextComponent):
        return []
    return [
        (name, other)
        for name, other in nlp.components
        if other is not pipe and "doc.cats" in nlp.get_pipe_meta(name).assigns
    ]


def list_labels_of_neighbours(nlp: Language, pipe: BertComponent) -> set[str]:
    """List the labels in `doc.cats` that belong to other components of a pipeline alone."""
    others = {label for _, other in list_neighbours(nlp, pipe) for label in getattr(other, "labels", ())}
    return others - set(pipe.labels)


class TextComponent(BertComponent):
    """A component that gives every label of a document a value, a probability for one.

    A subclass says how scores of the model become values and back, what gold values may be, and what the loss is.
    """

    task = "text"
    cut = CUT_PAIR
    unmarked = UNMARKED_PAIR
    model_type = TextModel
    architecture = "spacy-bertft.TextClassifier.v1"
    problem_type: ProblemType

    # What a subclass says.

    exclusive = False  # whether exactly one label holds

    def _compute_values(self, scores: NDArray[np.float32]) -> Floats:
        """Compute what is written to documents, `(B, L)`, from scores of the model over the temperature, `(B, L)`."""
        raise NotImplementedError

    def _invert_values(self, values: NDArray[np.floating]) -> Floats:
        """Compute scores that have these values; the reverse of `_compute_values`."""
        raise NotImplementedError

    def _check_gold(self, cats: Mapping[str, float]) -> None:
        """Raise unless the gold annotation of a document makes sense."""
        raise NotImplementedError

    def _compute_loss(
        self, scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_]
    ) -> tuple[float, Floats]:
        """Compute the loss and its gradient, by gold values and which of them are known, all `(B, L)`."""
        raise NotImplementedError

    def _compute_divergence(
        self, scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_], columns: NDArray[np.intp]
    ) -> tuple[float, Floats]:
        """Compute a loss that is 0 where the targets are predicted, and its gradient.

        Args:
            scores: `(B, L)` scores of the model.
            targets: `(B, L)` values to be predicted.
            is_known: `(B, L)` which of them are known.
            columns: The labels of which something is known; the others do not count.
        """
        raise NotImplementedError

    def soften(self, values: Floats, temperature: float) -> Floats:
        """Compute values, `(B, L)`, of scores that are divided by a temperature, on top of their own."""
        temperature *= self.cfg.get("temperature", 1.0)
        return self._compute_values((self._invert_values(values) / temperature).astype(np.float32))

    # spaCy's methods, in spaCy's order.

    def predict(self, docs: Iterable[Doc]) -> Floats:
        """Predict for a batch, without touching the documents: a value for every label, `(B, L)`."""
        return self._compute_values(self._score(list(docs)) / np.float32(self.cfg.get("temperature", 1.0)))

    def set_annotations(self, docs: Iterable[Doc], scores: Floats) -> None:
        """Write values to `doc.cats`."""
        for doc, row in zip(docs, scores.tolist(), strict=True):
            doc.cats.update(zip(self.labels, row, strict=True))

    def get_loss(self, examples: Iterable[Example], scores: NDArray[np.floating]) -> tuple[float, Floats]:
        """Compute the loss of a batch, a mean, and its gradient with respect to the scores of the model, `(B, L)`.

        Args:
            examples: The batch.
            scores: `(B, L)` float32 scores that the model gives, or float64 values that `predict` gives.

        Raises:
            DataError: Gold annotation makes no sense, has an unknown label, or is a pair of texts and the text is not.
            UnsupportedError: `scores` is neither.
        """
        if scores.dtype != np.float32:
            scores = self._invert_values(scores)
        examples = self._take_batch(examples, scores, np.ndarray)
        self._check_pairs(examples)
        return self._compute_loss(scores, *self._read_targets(examples))

    def _compute_distillation(
        self, examples: list[Example], scores: NDArray[np.float32], tutor: NDArray[np.float32], labels: Collection[str]
    ) -> tuple[float, Floats]:
        n_labels, n_known = scores.shape[1], tutor.shape[1]
        target = np.pad(self._compute_values(tutor), ((0, 0), (0, n_labels - n_known)))  # (B, L)
        is_old = np.arange(n_labels) < n_known
        columns = np.flatnonzero(is_old | np.isin(self.labels, list(labels)))  # those that are looked at
        is_known = np.tile(is_old, (len(target), 1))
        if labels:
            gold, is_gold = self._read_targets(examples)
            target = merge_targets(target, gold, is_gold, exclusive=self.exclusive)
            is_known |= is_gold
        return self._compute_divergence(scores, target, is_known, columns)

    # Gold annotation.

    def _read_labels(self, example: Example, excluded: Collection[str] = ()) -> Iterable[str]:
        others = {*excluded, *list_positions(example.reference)}  # the positions are those of bert_multiple_choice
        cats = {label: value for label, value in example.reference.cats.items() if label not in others}
        self._check_gold(cats)
        return cats

    def _check_neighbours(
        self, nlp: Language, labels: Sequence[str] | None, get_examples: Callable[[], Iterable[Example]]
    ) -> None:
        """Raise where it is not clear which values of `doc.cats` are categories and which are numbers.

        Raises:
            SettingError: The labels of this component or of another one, of the other kind, are not given; or both
                have the same label.
        """
        sections = nlp.config["initialize"]["components"]
        for name, other in list_neighbours(nlp, self):
            given = sections.get(name, {}).get("labels")
            known = {*getattr(other, "labels", ()), *(given if isinstance(given, (list, tuple)) else ())}
            if is_regressor(other) != is_regressor(self):
                is_found = labels is None and any(example.reference.cats for example in get_examples())
                is_left_open = not known and not given and not isinstance(other, TextComponent)
                for missing in [self.name] * is_found + [name] * is_left_open:
                    why = f"since {self.name} and {name} both read doc.cats, the one categories and the other numbers"
                    setting = f"initialize.components.{missing}.labels"
                    raise SettingError(setting, None, f"the labels of {missing}, {why}")
            elif not is_regressor(self):
                continue
            if shared := sorted(known & {*self.labels, *(labels or ())}):
                expected = f"other names than those of {name}, which writes doc.cats too"
                raise SettingError(f"labels of {self.name}", ", ".join(shared), expected)

    def _read_targets(self, examples: list[Example]) -> tuple[Floats, NDArray[np.bool_]]:
        """Read the gold value of every label, `(B, L)`, and whether it is known."""
        targets = np.full((len(examples), len(self.labels)), np.nan)
        column = {label: index for index, label in enumerate(self.labels)}
        for row, example in enumerate(examples):
            cats = {label: value for label, value in example.reference.cats.items() if self._is_known(label)}
            self._check_gold(cats)
            for label, value in cats.items():
                targets[row, column[label]] = value
        return np.nan_to_num(targets), ~np.isnan(targets)

    # What belongs to the weights, and the head of a checkpoint.

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        if head.problem_type is not None and head.problem_type != self.problem_type:
            expected = f"the component {FACTORIES[head.problem_type]} for it, as its problem_type says"
            raise SettingError("head", head.name, expected)
        if head.never:
            raise SettingError("labels", NEVER, f"a name for every output of {head.name}; only tags can be left out")
        return head.labels
