from __future__ import annotations

from dataclasses import replace

import numpy as np
import spacy
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.categories import measure_tags
from spacy_bertft.evaluation.counts import measure_figures
from spacy_bertft.evaluation.evaluate import _measure

nlp = spacy.blank("en")
PIPE = nlp.add_pipe("bert_tagger", name="tagger")
TAGS = ["ADJ", "NOUN", "VERB"]
for name in TAGS:
    PIPE.add_label(name)
FEW = Resampling(2)
tags = st.sampled_from(TAGS)


def make_example(gold: list[str], predicted: list[str]) -> Example:
    words = ["word"] * len(gold)
    return Example(Doc(nlp.vocab, words=words, tags=predicted), Doc(nlp.vocab, words=words, tags=gold))


@given(st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=6), min_size=1, max_size=4))
def test_figures_are_those_of_scikit_learn(docs):
    result = measure_tags(
        "tagger", "bert_tagger", PIPE, [make_example(*map(list, zip(*doc, strict=True))) for doc in docs]
    )
    gold, predicted = zip(*[pair for doc in docs for pair in doc], strict=True)
    [level] = result.levels
    *shares, _ = precision_recall_fscore_support(gold, predicted, labels=TAGS, zero_division=np.nan)
    np.testing.assert_allclose(measure_figures(level.counts, FEW).shares[2:], np.stack(shares, axis=1))
    np.testing.assert_allclose(measure_figures(level.accuracy, FEW).shares[0, 0], accuracy_score(gold, predicted))
    assert np.trace(result.confusion.counts) == sum(left == right for left, right in zip(gold, predicted, strict=True))


def test_unknown_tags_and_tokens_without_a_tag():
    examples = [make_example(["NOUN", "", "NEW"], ["NOUN", "VERB", ""]), make_example([""], ["NOUN"])]
    result = measure_tags("tagger", "bert_tagger", PIPE, examples)
    assert result.levels[0].counts.is_known.tolist() == [True, False]
    assert measure_figures(result.levels[0].accuracy, FEW).shares[0, 0] == 0.5
    assert result.confusion.column_names[-1] == "missed"
    assert "gold tags that the component does not know: NEW" in result.notes


def test_a_component_of_another_factory_is_measured_by_its_class(monkeypatch):
    meta = replace(nlp.get_pipe_meta("tagger"), factory="own_tagger")
    monkeypatch.setattr(nlp, "get_pipe_meta", lambda name: meta)
    result = _measure(nlp, "tagger", [make_example(["NOUN"], ["NOUN"])], 0)
    assert (result.factory, result.kind) == ("bert_tagger", "tags")
