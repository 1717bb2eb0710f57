"""The scorer against seqeval and scikit-learn, on random entities over other tokens than the gold ones."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.entity_scores import configure_entity_scorer

nlp = spacy.blank("en")
TAGS = st.sampled_from(["O", "B-A", "B-B", "I-A", "I-B"])


def make_legal(tags: list[str]) -> list[str]:
    legal: list[str] = []
    for tag in tags:
        follows = legal and legal[-1][1:] == tag[1:] and legal[-1] != "O"
        legal.append(tag if not tag.startswith("I") or follows else tag.replace("I", "B"))
    return legal


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=5))
def test_scores_are_those_of_seqeval(pairs):
    gold = [make_legal([tag for tag, _ in sentence]) for sentence in pairs]
    predicted = [make_legal([tag for _, tag in sentence]) for sentence in pairs]
    examples = [
        Example(
            Doc(nlp.vocab, words=["word"] * len(right), ents=right),
            Doc(nlp.vocab, words=["word"] * len(left), ents=left),
        )
        for left, right in zip(gold, predicted, strict=True)
    ]
    scores = configure_entity_scorer()(examples)
    for key, metric in (("ents_p", precision_score), ("ents_r", recall_score), ("ents_f", f1_score)):
        expected = metric(gold, predicted, mode="strict", scheme=IOB2, zero_division=0)
        assert (scores[key] or 0) == pytest.approx(expected)
    flat = [
        (left, right)
        for one, other in zip(gold, predicted, strict=True)
        for left, right in zip(one, other, strict=True)
    ]
    assert scores["ents_token_f"] == pytest.approx(sum(left == right for left, right in flat) / len(flat))


def test_tokens_are_the_gold_ones():
    gold = Doc(nlp.vocab, words=["1980", "s", "films"], spaces=[False, True, False], ents=["B-YEAR", "I-YEAR", "O"])
    predicted = Doc(nlp.vocab, words=["1980s", "films"], ents=["B-YEAR", "B-YEAR"])
    scores = configure_entity_scorer()([Example(predicted, gold)])
    assert scores["ents_token_f"] == pytest.approx(2 / 3)


def test_without_gold_there_is_no_score():
    doc = Doc(nlp.vocab, words=["a"])
    assert configure_entity_scorer()([Example(doc, doc.copy())])["ents_token_f"] is None
