"""Scores of answers: exact match and F1 over words, as the official script of SQuAD 2.0 counts them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.entity_scores import Scorer
from spacy_bertft.data.answers import ANSWERS, read_answer_texts
from spacy_bertft.errors import DataError, shorten

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def configure_answer_scorer() -> Scorer:
    """Configure `spacy-bertft.answer_scorer.v1`: exact match and F1 of answers."""
    return score_answers


def normalize_answer(text: str) -> str:
    """Normalize an answer: lowercase, without punctuation and articles, words separated by one space.

    Example:
        >>> normalize_answer("The  Norman conquest, of a kingdom.")
        'norman conquest of kingdom'

    Source: `normalize_answer` of the official evaluation script of SQuAD (Rajpurkar et al. 2016, 2018).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def compare_answers(predicted: str, gold: Sequence[str]) -> tuple[float, float]:
    """Compare an answer with several that are right, and take the best.

    Args:
        predicted: Its text; empty for no answer.
        gold: Those that are right; none if there is no answer.

    Returns:
        Exact match, 0 or 1, and F1 over words.

    Example:
        >>> compare_answers("the Normans", ["Normans in France", "Vikings"])
        (0.0, 0.5)

    Source: the official evaluation script of SQuAD 2.0.
    """
    wanted = [normalized for text in gold if (normalized := normalize_answer(text))] or [""]
    found = normalize_answer(predicted)
    return float(found in wanted), max(_compute_f1(found.split(), each.split()) for each in wanted)


def _compute_f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    n_same = (Counter(predicted) & Counter(gold)).total()
    return 2 * n_same / (len(predicted) + len(gold))


def score_answers(examples: Iterable[Example], *, spans_key: str = ANSWERS, **cfg: Any) -> dict[str, Any]:
    """Score the answers to questions; those of which the gold annotation says nothing are left out.

    Args:
        examples: With predictions.
        spans_key: The span group that holds the answers.
        cfg: Other settings of the component, which make no difference.

    Returns:
        `qa_em` and `qa_f1` over all questions, `qa_has_answer_em` and `qa_has_answer_f1` over those that have an
        answer, `qa_no_answer_acc` over those that have none, each from 0 to 1, or None where there is no question; and
        `qa_support`, how many questions there are.

    Raises:
        DataError: A question has gold annotation and was not answered, since it is not marked as a pair of texts.
    """
    with_answer: list[tuple[float, float]] = []
    without: list[tuple[float, float]] = []
    for example in examples:
        gold = read_answer_texts(example.reference, spans_key)
        if gold is not None:
            judged = compare_answers(_read_predicted(example.predicted, spans_key), gold)
            (with_answer if gold else without).append(judged)
    both = with_answer + without
    return {
        "qa_em": _average([em for em, _ in both]),
        "qa_f1": _average([f1 for _, f1 in both]),
        "qa_has_answer_em": _average([em for em, _ in with_answer]),
        "qa_has_answer_f1": _average([f1 for _, f1 in with_answer]),
        "qa_no_answer_acc": _average([em for em, _ in without]),
        "qa_support": len(both),
    }


def _read_predicted(doc: Doc, key: str) -> str:
    found = read_answer_texts(doc, key)
    if found is None:
        raise DataError(
            f"The question {shorten(repr(doc.text))} has gold annotation, but no component has answered it in "
            f"doc.spans['{key}']. Expected a pair of texts: put the component text_pair first in the pipeline."
        )
    return found[0] if found else ""


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
