from __future__ import annotations

import numpy as np
import pytest

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.counts import compare_f1, count_pairs, measure_figures
from spacy_bertft.evaluation.report import match_results
from spacy_bertft.evaluation.results import ComponentResult, Level

CORRECT, WRONG = [("a", "a")], [("a", None)]


def make_counts(docs, labels=("a",)):
    return count_pairs(labels, docs)


def make_result(component: str, factory: str = "bert_ner") -> ComponentResult:
    return ComponentResult(component, factory, "entities", (Level("entities", make_counts([CORRECT])),))


def test_a_pipeline_and_itself():
    counts = make_counts([CORRECT, WRONG] * 20)
    for difference in compare_f1(counts, counts, Resampling(100)):
        assert difference.difference == 0
        assert difference.interval.tolist() == [0, 0]
        assert difference.p_value == 1.0


def test_a_better_one_and_back():
    rng = np.random.default_rng(0)
    good, bad = ([CORRECT if rng.random() < chance else WRONG for _ in range(200)] for chance in (0.9, 0.6))
    [forth, *_] = compare_f1(make_counts(good), make_counts(bad), Resampling(200))
    [back, *_] = compare_f1(make_counts(bad), make_counts(good), Resampling(200))
    assert forth.difference == -back.difference > 0.1
    assert forth.interval[0] > 0
    np.testing.assert_allclose(forth.interval, -back.interval[::-1])
    assert forth.p_value == back.p_value == pytest.approx(1 / 201)


def test_pairs_of_documents_tell_more_than_each_side():
    """One that is right wherever the other is, and on a few documents more, is better in every resample."""
    docs = [CORRECT, WRONG] * 50
    better = [CORRECT if index < 12 else doc for index, doc in enumerate(docs)]
    [paired, *_] = compare_f1(make_counts(better), make_counts(docs), Resampling(500))
    assert paired.interval[0] > 0
    alone = [measure_figures(make_counts(each), Resampling(500)).intervals[0, 2] for each in (better, docs)]
    assert alone[0][0] < alone[1][1]


def test_documents_that_one_cannot_be_measured_by_count_for_neither():
    first = make_counts([CORRECT, CORRECT, WRONG, None])
    second = make_counts([CORRECT, None, WRONG, WRONG])
    [difference, *_] = compare_f1(first, second, Resampling(50))
    assert difference.shares == pytest.approx((2 / 3, 2 / 3))


def test_labels_that_only_one_has_are_not_compared():
    first = make_counts([[("a", "a"), ("b", "b")]], ["a", "b"])
    second = make_counts([[("a", "a"), (None, "c")]], ["a", "c"])
    assert [each.name for each in compare_f1(first, second, Resampling(5))] == ["micro average", "macro average", "a"]


def test_components_go_by_their_names_or_are_the_only_ones():
    one, other, cats = make_result("ner"), make_result("bert_ner"), make_result("textcat", "bert_textcat")
    names = ("first", "second")
    assert match_results([one], [other, one], names) == [(one, one)]
    assert match_results([one], [cats, other], names) == [(one, other)]
    with pytest.raises(SettingError) as caught:
        match_results([one, cats], [other], names)
    assert (caught.value.name, caught.value.value) == ("against", "second")
    assert str(caught.value).endswith(
        "Expected a pipeline with one bert_textcat named 'textcat', as in first; it has bert_ner (bert_ner)."
    )
    with pytest.raises(SettingError, match="it has a \\(bert_ner\\), b \\(bert_ner\\)"):
        match_results([one], [make_result("a"), make_result("b")], names)
