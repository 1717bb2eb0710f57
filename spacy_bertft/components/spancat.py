"""`bert_spancat`: documents → overlapping and nested spans in `doc.spans[spans_key]`."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline.spancat import Suggester
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_bertft.checkpoints import CheckpointHead
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.entity_scores import Scorer, write_entities
from spacy_bertft.components.predictions import Prediction, judge_spans, list_entities, read_gold_spans
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.models.heads.candidates import SpanModel, SpanScores
from spacy_bertft.models.heads.losses import Floats, merge_targets, subtract_entropy
from spacy_bertft.models.heads.text import sigmoid
from spacy_bertft.training.calibration import CalibrationData

Overlap = Literal["any", "nested", "none"]


class BertSpancat(BertComponent):
    """Categorize spans: each label of each candidate has a probability of its own.

    Args:
        vocab: The vocabulary of the pipeline.
        model: A span classifier.
        name: Name of the component in the pipeline.
        suggester: Lists the candidates.
        scorer: Scores a batch of examples.
        settings: The component's own settings.

    Attributes:
        suggester: What lists the candidates.
        key: The name of the group in `doc.spans`.
        n_missed: Gold spans, counted each time they were read, that are no candidates, so that they are not learned.
    """

    stored = (*BertComponent.stored, "temperature")
    factory = "bert_spancat"
    model_type = SpanModel
    architecture = "spacy-bertft.SpanClassifier.v1"
    n_missed = 0

    def __init__(
        self, vocab: Vocab, model: Any, name: str, *, suggester: Suggester, scorer: Scorer | None, **settings: Any
    ) -> None:
        super().__init__(vocab, model, name, scorer=scorer, **settings)
        self.suggester = self.model.suggester = suggester
        self.key: str = self.cfg["spans_key"]
        self.score_prefix = f"spans_{self.key}"

    # spaCy's methods, in spaCy's order.

    def predict(self, docs: Iterable[Doc]) -> list[list[Prediction]]:
        """Predict for a batch, without touching the documents: the spans of each, in the order of the text."""
        docs = list(docs)
        scores: SpanScores = self.model.predict(docs)
        probs = sigmoid(scores.scores / np.float32(self.cfg["temperature"]))
        found = self._find(docs, scores, probs, self._choose(docs, scores, probs))
        return [sorted(each, key=lambda one: (one.span.token_start, -one.span.token_end)) for each in found]

    def set_annotations(self, docs: Iterable[Doc], batch: list[list[Prediction]]) -> None:
        """Write spans to `doc.spans[spans_key]`, and their probabilities to `span._.bertft_score`."""
        for doc, predictions in zip(docs, batch, strict=True):
            spans = [(Span(doc, *each.span[:2], each.label), cast(float, each.prob)) for each in predictions]
            write_entities(doc, self.key, spans)

    def get_loss(self, examples: Iterable[Example], scores: SpanScores) -> tuple[float, Floats]:
        """Compute the loss of a batch, per token, and its gradient, `(N, L)`.

        A document without the group `spans_key` is not annotated: it is left out.

        Raises:
            DataError: The examples hold a label that the component does not have.
            UnsupportedError: `scores` is what `predict` returns.
        """
        examples = self._take_batch(examples, scores, SpanScores)
        return scores.compute_loss(*self._read_targets(examples, scores))

    def _compute_distillation(
        self, examples: list[Example], scores: SpanScores, tutor: SpanScores, labels: Collection[str]
    ) -> tuple[float, Floats]:
        shape, n_known = scores.scores.shape, tutor.scores.shape[1]
        target = np.pad(sigmoid(tutor.scores), ((0, 0), (0, shape[1] - n_known)))  # (N, L)
        is_known = np.tile(np.arange(shape[1]) < n_known, (shape[0], 1))
        if labels:
            gold, is_gold = self._read_targets(examples, scores)
            is_gold &= np.isin(self.labels, list(labels))
            target, is_known = merge_targets(target, gold, is_gold, exclusive=False), is_known | is_gold

        def compute(logits: NDArray[np.floating]) -> tuple[float, Floats]:
            return replace(scores, scores=logits.astype(np.float32)).compute_loss(target, is_known)

        return subtract_entropy(compute, scores.scores, target, exclusive=False)

    # Predictions.

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the spans that the component has found."""
        return list_entities(self.name, source, self.key)

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict spans and check which are correct; see `BertComponent`."""
        docs = [example.predicted for example in examples]
        scores: SpanScores = self.model.predict(docs)
        probs = sigmoid(scores.scores)
        chosen = self._choose(docs, scores, probs)
        logits = scores.scores[tuple(chosen.T)]  # (K,)
        golds = [read_gold_spans(example, self.key) for example in examples]
        found = self._find(docs, scores, probs, chosen)
        return judge_spans(found, golds, lambda temperature: sigmoid(logits / temperature))

    def _find(
        self, docs: list[Doc], scores: SpanScores, probs: Floats, chosen: NDArray[np.intp]
    ) -> list[list[Prediction]]:
        """Give each document the candidates that were chosen."""
        found: list[list[Prediction]] = [[] for _ in docs]
        owner = np.repeat(np.arange(len(docs)), scores.lengths)
        for row, column in chosen.tolist():
            start, end = scores.spans[row].tolist()
            prediction = Prediction(self.name, "span", self.labels[column], start, end, float(probs[row, column]))
            found[owner[row]].append(prediction)
        return found

    def _choose(self, docs: list[Doc], scores: SpanScores, probs: Floats) -> NDArray[np.intp]:
        """Choose the candidates and labels that are predicted, `(K, 2)`: rows and columns of the scores."""
        is_high = probs >= self.cfg["threshold"]
        if self.cfg["max_positive"] is not None:
            rank = (-probs).argsort(axis=1, kind="stable").argsort(axis=1)
            is_high &= rank < self.cfg["max_positive"]
        chosen = np.argwhere(is_high)  # (K, 2)
        if self.cfg["overlap"] == "any" or not len(chosen):
            return chosen
        # As if the documents were one text: in it, spans of two of them do not overlap.
        offset = np.repeat(np.cumsum([0, *map(len, docs[:-1])]), scores.lengths)[chosen[:, 0], None]
        spans = scores.spans[chosen[:, 0]] + offset
        kept = select_spans(spans, probs[tuple(chosen.T)], sum(map(len, docs)), self.cfg["overlap"])
        return chosen[kept]

    # Gold annotation.

    def _read_labels(self, example: Example, excluded: Collection[str] = ()) -> Iterable[str]:
        return {span.label_ for span in example.reference.spans.get(self.key, [])}

    def _read_targets(self, examples: list[Example], scores: SpanScores) -> tuple[Floats, NDArray[np.bool_]]:
        """Read the gold value of every label of every candidate, `(N, L)`, and whether it is known."""
        targets, is_known = np.zeros(scores.scores.shape), np.ones(scores.scores.shape, dtype=np.bool_)
        columns = {label: column for column, label in enumerate(self.labels)}
        ends = np.cumsum(scores.lengths).tolist()
        for example, first, end in zip(examples, [0, *ends], ends, strict=False):
            gold = read_gold_spans(example, self.key)
            if self.key not in example.reference.spans:
                is_known[first:end] = False
            row_by_span = {(s, e): row for row, (s, e) in enumerate(scores.spans[first:end].tolist(), first)}
            missed = list(gold.misaligned)
            for start, stop, label in filter(lambda span: self._is_known(span.label), gold.spans):
                if (row := row_by_span.get((start, stop))) is None:
                    missed.append(example.predicted[start:stop].text)
                else:
                    targets[row, columns[label]] = 1.0
            self._count_missed(missed)
        return targets, is_known

    def _count_missed(self, missed: list[str]) -> None:
        self.n_missed += len(missed)
        if missed:
            self._warn_once(
                f"the gold span '{missed[0]}' is not among the candidates: it is longer than those of the suggester, "
                "or begins or ends within a token or a subword token. Such spans are not learned, and counted in "
                "n_missed.",
                about="missed",
            )

    # What belongs to the weights.

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        super()._set_outputs(get_examples)
        annotated = [self.key in example.reference.spans for example in get_examples()]
        if any(annotated) and not all(annotated):
            self._warn_once(
                f"{len(annotated) - sum(annotated):,} of {len(annotated):,} examples have no doc.spans['{self.key}'], "
                "not even an empty one. They are taken as not annotated, and nothing is learned from them."
            )

    def take_head(self, head: CheckpointHead) -> None:
        """Take the head of a checkpoint, which no checkpoint of transformers has.

        Raises:
            SettingError: In any case.
        """
        raise SettingError("head", head.name, f"none: no class of transformers scores spans as {self.name} does")

    def _find_head(self) -> CheckpointHead:
        raise DataError(
            f"{self.name} found no labels. Expected examples with doc.spans['{self.key}'], as `spacy-bertft convert "
            f"--as spans --spans-key {self.key}` writes them, or labels from `spacy init labels`."
        )


def select_spans(spans: NDArray[np.intp], probs: Floats, n_tokens: int, overlap: Overlap) -> NDArray[np.intp]:
    """Select spans that may be next to each other, the most probable first.

    Args:
        spans: `(K, 2)` first token and one past the last.
        probs: `(K,)` their probabilities; of equal ones the first goes first.
        n_tokens: How many tokens there are.
        overlap: `"none"` lets no two share a token; `"nested"` lets one be within another.

    Returns:
        Indices of those that stay, in their order.

    Example:
        >>> spans = np.array([[0, 2], [1, 3], [0, 4]])
        >>> select_spans(spans, np.array([0.9, 0.8, 0.7]), 4, "nested").tolist()
        [0, 2]
    """
    furthest = np.zeros(n_tokens, dtype=np.intp)  # of those that start at a token, the end of the longest
    nearest = np.full(n_tokens + 1, n_tokens)  # of those that end before a token, the start of the longest
    is_taken = np.zeros(n_tokens, dtype=np.bool_)
    kept = []
    for index in np.argsort(-probs, kind="stable").tolist():
        start, end = spans[index].tolist()
        inner = slice(start + 1, end)
        crosses = (furthest[inner] > end).any() or (nearest[inner] < start).any()
        if crosses if overlap == "nested" else is_taken[start:end].any():
            continue
        kept.append(index)
        is_taken[start:end] = True
        furthest[start], nearest[end] = max(furthest[start], end), min(nearest[end], start)
    return np.array(sorted(kept), dtype=np.intp)
