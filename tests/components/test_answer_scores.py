"""Exact match and F1 are those of the official script of SQuAD 2.0."""

from __future__ import annotations

import collections
import re
import string

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from question_pipelines import make_question
from spacy.training import Example

from spacy_bertft.components.answer_scores import compare_answers, normalize_answer, score_answers
from spacy_bertft.data.answers import write_answers
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import DataError


# As in the script, which compares an answer with each gold answer and takes the highest.
def normalize_officially(s: str) -> str:
    exclude = set(string.punctuation)
    s = "".join(ch for ch in s.lower() if ch not in exclude)
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", s).split())


def score_officially(a_gold: str, a_pred: str) -> tuple[float, float]:
    gold_toks, pred_toks = ([] if not s else normalize_officially(s).split() for s in (a_gold, a_pred))
    exact = float(normalize_officially(a_gold) == normalize_officially(a_pred))
    num_same = sum((collections.Counter(gold_toks) & collections.Counter(pred_toks)).values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return exact, float(gold_toks == pred_toks)
    if num_same == 0:
        return exact, 0.0
    precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
    return exact, (2 * precision * recall) / (precision + recall)


letters = st.sampled_from([*"aAbn tTheE.,'é-", "\u2019", " the ", " an "])
answers = st.lists(letters, max_size=12).map("".join)


@given(answers, st.lists(answers, max_size=3))
def test_scores_are_those_of_the_official_script(predicted, gold):
    kept = [a for a in gold if normalize_officially(a)] or [""]
    expected = (max(score_officially(a, predicted)[k] for a in kept) for k in (0, 1))
    assert compare_answers(predicted, gold) == pytest.approx(tuple(expected))
    assert normalize_answer(predicted) == normalize_officially(predicted)


def test_scores_by_hand():
    """Of four questions one is not known, one is half right, one is right, and one has no answer."""
    nlp = spacy.blank("en")
    rows = [("films", ["films", "drew"]), ("drew barrymore", ["drew"]), (None, []), ("films", None)]
    examples = []
    for predicted, gold in rows:
        reference = make_question(nlp, "who?", "films with drew barrymore", gold)
        doc = make_question(nlp, "who?", "films with drew barrymore", [predicted] if predicted else [])
        examples.append(Example(doc, reference))
    scores = score_answers(examples)
    assert scores == {
        "qa_em": pytest.approx(2 / 3),
        "qa_f1": pytest.approx((1 + 2 / 3 + 1) / 3),
        "qa_has_answer_em": 0.5,
        "qa_has_answer_f1": pytest.approx((1 + 2 / 3) / 2),
        "qa_no_answer_acc": 1.0,
        "qa_support": 3,
    }
    assert score_answers([])["qa_em"] is None


def test_an_answer_is_judged_by_its_text_even_where_it_is_not_of_whole_tokens():
    nlp = spacy.blank("en")
    reference = make_pair(nlp, "how much?", "the river flows")
    start = reference.text.index("flow")
    assert write_answers(reference, [(start, start + 4), (start, start + 4)]) == 1
    assert [span.text for span in reference.spans["answers"]] == ["flows"]
    assert reference.spans["answers"].attrs["texts"] == ["flow"]
    predicted = make_question(nlp, "how much?", "the river flows", ["flows"])
    assert score_answers([Example(predicted, reference)])["qa_em"] == 0.0


def test_a_question_that_was_not_answered_is_an_error():
    nlp = spacy.blank("en")
    reference = make_question(nlp, "who?", "drew barrymore", ["drew"])
    with pytest.raises(DataError, match=r"no component has answered it .* put the component text_pair first"):
        score_answers([Example(nlp.make_doc(reference.text), reference)])
