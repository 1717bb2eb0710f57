"""`bert_qa`: pairs of a question and a context → the answer in `doc.spans`; and `ask`, for one question."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bertft.components.answer_scores import compare_answers
from spacy_bertft.components.component import UNMARKED_PAIR, BertComponent
from spacy_bertft.components.pipelines import choose_component
from spacy_bertft.components.predictions import Prediction
from spacy_bertft.data.answers import read_answer_texts
from spacy_bertft.data.char_spans import CharSpanGroup
from spacy_bertft.data.pairs import SEGMENTS, make_pair
from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.models.heads.losses import Floats
from spacy_bertft.models.heads.question import (
    NO_ANSWER,
    Candidates,
    QuestionModel,
    QuestionScores,
    TokenRange,
    list_candidates,
)
from spacy_bertft.training.calibration import CalibrationData

_CUT_QUESTION = (
    "a question fills more than half of a window of the encoder and loses its end. Such questions are counted in "
    "n_truncated."
)
_UNREACHABLE = (
    "the gold answer '{}' cannot be predicted: it does not fit the tokens, is not in the second text of the pair, has "
    "more than {} tokens (max_answer_tokens), or is longer than what two windows share. Such answers are left out of "
    "the loss and counted in n_unreachable."
)


class Found(NamedTuple):
    """What is found of a question.

    Attributes:
        answers: The most likely spans of tokens, with their probabilities; none if there is no answer.
        no_answer: The probability that there is no answer; None where every question has one.
    """

    answers: list[tuple[TokenRange, float]]
    no_answer: Optional[float]  # noqa: UP045


class BertQa(BertComponent):
    """Answer questions by a span of a context.

    Attributes:
        n_unknown: Questions without gold annotation that were seen in training, and left out of the loss.
        n_unreachable: Gold answers that cannot be predicted.
    """

    stored = ("temperature", "threshold")
    has_labels = False
    factory = "bert_qa"
    score_prefix = "qa"
    task = "span"
    cut = _CUT_QUESTION
    unmarked = UNMARKED_PAIR
    model_type = QuestionModel
    architecture = "spacy-bertft.QuestionAnswering.v1"
    n_unknown = 0
    n_unreachable = 0

    # spaCy's methods, in spaCy's order.

    def predict(self, docs: Iterable[Doc]) -> list[Optional[Found]]:  # noqa: UP045
        """Predict for a batch, without touching the documents; None for what is no pair of texts."""
        docs = list(docs)
        threshold, n_best = self.cfg["threshold"], self.cfg["n_best"]
        candidates = self._list_candidates(self._score(docs)).scale_by_temperature(self.cfg["temperature"])
        no_answer = find_no_answer(candidates)
        found: list[Optional[Found]] = []  # noqa: UP045
        for doc, best, none in zip(docs, candidates.find_best(n_best + 1), no_answer.tolist(), strict=True):
            is_none = threshold is not None and none >= threshold
            answers = [each for each in best if each[0] != NO_ANSWER][: 0 if is_none else n_best]
            found.append(Found(answers, None if threshold is None else none) if SEGMENTS in doc.spans else None)
        return found

    def set_annotations(self, docs: Iterable[Doc], batch: Sequence[Optional[Found]]) -> None:  # noqa: UP045
        """Write answers to `doc.spans`, the most likely one first, and their probabilities to its `attrs`."""
        key = self.cfg["spans_key"]
        for doc, found in zip(docs, batch, strict=True):
            if found is not None:
                spans = [Span(doc, start, end) for (start, end), _ in found.answers]
                attrs = {"scores": [prob for _, prob in found.answers], "no_answer": found.no_answer}
                doc.spans[key] = CharSpanGroup(doc, name=key, attrs=attrs, spans=spans)

    def get_loss(self, examples: Iterable[Example], scores: QuestionScores) -> tuple[float, Floats]:
        """Compute the loss of a batch, a mean over questions, and its gradient with respect to the scores, `(R, 2)`.

        It is the negative logarithm of the probability that any of the gold answers is given.

        Raises:
            DataError: An example has answers and is no pair of texts.
            UnsupportedError: `scores` is what `predict` returns.
        """
        examples = self._take_batch(examples, scores, QuestionScores)
        self._check_asked(examples)
        candidates = self._list_candidates(scores)
        gold = [read_gold_answers(example, self.cfg["spans_key"]) for example in examples]
        is_right = candidates.mark(gold)
        self._count_left_out(examples, gold, np.bincount(candidates.doc[is_right], minlength=len(examples)).tolist())
        loss, gradient = candidates.compute_loss(is_right)
        return loss, candidates.spread(gradient, len(scores.scores))

    def _compute_distillation(
        self, examples: list[Example], scores: QuestionScores, tutor: QuestionScores, labels: Collection[str]
    ) -> tuple[float, Floats]:
        candidates, target = self._list_candidates(scores), self._list_candidates(tutor)
        # Where two windows hold a span, the two heads may take it from different ones; the spans are the same.
        loss, gradient = candidates.compute_divergence(target)
        return loss, candidates.spread(gradient, len(scores.scores))

    # Predictions.

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the answer that the component has found, or that there is none."""
        key, doc = self.cfg["spans_key"], source.predicted if isinstance(source, Example) else source
        gold = read_answer_texts(source.reference, key) if isinstance(source, Example) else None
        if key not in doc.spans:
            return []
        group = doc.spans[key]
        span, prob = (group[0], group.attrs["scores"][0]) if len(group) else (None, group.attrs["no_answer"])
        is_correct = None if gold is None else compare_answers(span.text if span else "", gold)[0] == 1
        best = None if gold is None else gold[0] if gold else ""
        start, end = (span.start, span.end) if span else (None, None)
        label = "answer" if span else ""
        return [Prediction(self.name, "answer", label, start, end, prob, gold=best, is_correct=is_correct)]

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict answers and check which are correct; and how sure it is that questions have none.

        Args:
            examples: Their predicted documents hold what earlier components write.
        """
        self._check_asked(examples)
        key, docs = self.cfg["spans_key"], [example.predicted for example in examples]
        gold = [read_answer_texts(example.reference, key) for example in examples]
        candidates = self._list_candidates(self._score(docs), may_lack_answer=any(texts == [] for texts in gold))
        known, best, judged = [], [], []  # of each question, the most likely candidate and the most likely span
        for index, (doc, texts, ranked) in enumerate(zip(docs, gold, candidates.find_best(2), strict=True)):
            if texts is not None and ranked:
                known.append(index)
                (start, end), _ = next((each for each in ranked if each[0] != NO_ANSWER), ranked[0])
                judged.append([compare_answers(answer, texts) for answer in (doc[start:end].text, "")])
                best.append(judged[-1][int(ranked[0][0] == NO_ANSWER)][0] == 1)

        def find_best_probs(temperature: float) -> Floats:
            ranked = candidates.scale_by_temperature(temperature).find_best(1)
            return np.array([ranked[index][0][1] for index in known])

        return CalibrationData(
            compute_probs=find_best_probs,
            is_correct=np.array(best, dtype=np.bool_),
            n_gold=sum(bool(texts) for texts in gold),
            compute_no_answer=lambda temperature: find_no_answer(candidates.scale_by_temperature(temperature))[known],
            f1_by_choice=np.array([[f1 for _, f1 in each] for each in judged]).reshape(-1, 2),
            has_answer=np.array([bool(gold[index]) for index in known], dtype=np.bool_),
        )

    def _list_candidates(self, scores: QuestionScores, *, may_lack_answer: bool = False) -> Candidates:
        has_no_answer = may_lack_answer or self.cfg["threshold"] is not None
        return list_candidates(scores, self.cfg["max_answer_tokens"], has_no_answer=has_no_answer)

    # Gold annotation.

    def _check_asked(self, examples: Sequence[Example]) -> None:
        """Raise where there are answers to what is not read as a question and its context."""
        self._check_pairs(examples)
        key = self.cfg["spans_key"]
        if any(key in example.reference.spans and SEGMENTS not in example.predicted.spans for example in examples):
            raise DataError(
                f"{self.name}: the reference of an example has doc.spans['{key}'], but its predicted document is no "
                "pair of texts. Expected documents of make_pair(nlp, question, context)."
            )

    def _count_left_out(
        self, examples: Sequence[Example], gold: Sequence[Collection[TokenRange] | None], n_right: Sequence[int]
    ) -> None:
        for example, ranges, n in zip(examples, gold, n_right, strict=True):
            self.n_unknown += ranges is None
            texts = read_answer_texts(example.reference, self.cfg["spans_key"])
            if texts is None or n:
                continue
            if not texts:
                raise DataError(
                    f"{self.name}: a question has no answer by the gold annotation, but the component was initialized "
                    "with questions that all have one. Initialize it with examples of both."
                )
            self.n_unreachable += 1
            self._warn_once(_UNREACHABLE.format(texts[0], self.cfg["max_answer_tokens"]), about="unreachable")

    # What belongs to the weights, and the head of a checkpoint.

    def _needs_head(self, get_examples: Callable[[], Iterable[Example]]) -> bool:
        return not any(self.cfg["spans_key"] in example.reference.spans for example in get_examples())

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        key = self.cfg["spans_key"]
        groups = [example.reference.spans[key] for example in get_examples() if key in example.reference.spans]
        self.cfg["threshold"] = 0.5 if any(not len(group) for group in groups) else None

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        threshold = self.cfg["threshold"]
        if threshold is not None and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
            raise CheckpointError(f"The threshold is {threshold!r}. Expected nothing, or a probability from 0 to 1.")


def find_no_answer(candidates: Candidates) -> Floats:
    """Find the probability that there is no answer, `(B,)`; 0 where that is no candidate."""
    is_none = candidates.end == 0
    probs = np.zeros(candidates.n_docs)
    probs[candidates.doc[is_none]] = np.exp(candidates.log_probs[is_none])
    return probs


def read_gold_answers(example: Example, key: str) -> Optional[list[TokenRange]]:  # noqa: UP045
    """Read the gold answers in the tokens of the predicted document, as far as they fit; None if nothing is known."""
    if key not in example.reference.spans:
        return None
    spans = list(example.reference.spans[key])
    if not spans:
        return [NO_ANSWER]
    return [(span.start, span.end) for span in example.get_aligned_spans_y2x(spans, allow_overlap=True)]


class Answer(NamedTuple):
    """An answer.

    Attributes:
        text: Its text.
        prob: Its probability.
        char_start: Its first character in the context.
        char_end: One past its last character.
    """

    text: str
    prob: float
    char_start: int
    char_end: int


def ask(nlp: Language, question: str, context: str, component: str | None = None) -> list[Answer]:
    """Answer a question by a span of a context.

    Args:
        nlp: A pipeline with `bert_qa`.
        question: The question.
        context: The text that the answer is part of.
        component: Name of the component that answers; by default the only one.

    Returns:
        The most likely answers, as many as `n_best` says, the most likely one first; empty if there is no answer.

    Raises:
        SettingError: There is no such component.
        DataError: A text holds U+001F, or no token.
    """
    pipe = choose_component(nlp, BertQa, component, "bert_qa, but the pipeline has none")
    others = [name for name, other in nlp.pipeline if isinstance(other, BertQa) and other is not pipe]
    doc = nlp(make_pair(nlp, question, context), disable=others)  # which may write to the same group
    group, shift = doc.spans[pipe.cfg["spans_key"]], len(question) + 1
    return [
        Answer(span.text, prob, span.start_char - shift, span.end_char - shift)
        for span, prob in zip(group, group.attrs["scores"], strict=True)
    ]
