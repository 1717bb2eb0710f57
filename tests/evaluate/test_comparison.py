from __future__ import annotations

import numpy as np
import pytest

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluate.bootstrap import Resampling
from spacy_bertft.evaluate.comparison import compare_f1, match_sections
from spacy_bertft.evaluate.counts import count_answers, measure_figures
from spacy_bertft.evaluate.sections.section import Level, Section

RIGHT, WRONG = [("a", "a")], [("a", None)]


def make_counts(docs, labels=("a",)):
    return count_answers(labels, docs)


def make_section(component: str, factory: str = "bert_ner") -> Section:
    level = Level("entities", make_counts([RIGHT]))
    nothing = np.zeros(0)
    return Section(component, factory, "entities", (level,), None, {}, nothing, nothing.astype(bool), (), ())


def test_a_pipeline_and_itself():
    counts = make_counts([RIGHT, WRONG] * 20)
    for difference in compare_f1(counts, counts, Resampling(100)):
        assert difference.difference == 0
        assert difference.interval.tolist() == [0, 0]
        assert difference.p_value == 1.0


def test_a_better_one_and_back():
    rng = np.random.default_rng(0)
    good, bad = ([RIGHT if rng.random() < chance else WRONG for _ in range(200)] for chance in (0.9, 0.6))
    [forth, *_] = compare_f1(make_counts(good), make_counts(bad), Resampling(200))
    [back, *_] = compare_f1(make_counts(bad), make_counts(good), Resampling(200))
    assert forth.difference == -back.difference > 0.1
    assert forth.interval[0] > 0
    np.testing.assert_allclose(forth.interval, -back.interval[::-1])
    assert forth.p_value == back.p_value == pytest.approx(1 / 201)


def test_pairs_of_documents_tell_more_than_each_side():
    """One that is right wherever the other is, and on a few documents more, is better in every resample."""
    docs = [RIGHT, WRONG] * 50
    better = [RIGHT if index < 12 else doc for index, doc in enumerate(docs)]
    [paired, *_] = compare_f1(make_counts(better), make_counts(docs), Resampling(500))
    assert paired.interval[0] > 0
    alone = [measure_figures(make_counts(each), Resampling(500)).intervals[0, 2] for each in (better, docs)]
    assert alone[0][0] < alone[1][1]


def test_documents_that_one_cannot_be_measured_by_count_for_neither():
    first = make_counts([RIGHT, RIGHT, WRONG, None])
    second = make_counts([RIGHT, None, WRONG, WRONG])
    [difference, *_] = compare_f1(first, second, Resampling(50))
    assert difference.shares == pytest.approx((2 / 3, 2 / 3))


def test_labels_that_only_one_has_are_not_compared():
    first = make_counts([[("a", "a"), ("b", "b")]], ["a", "b"])
    second = make_counts([[("a", "a"), (None, "c")]], ["a", "c"])
    assert [each.name for each in compare_f1(first, second, Resampling(5))] == ["all", "mean of the labels", "a"]


def test_components_go_by_their_names_or_are_the_only_ones():
    one, other, cats = make_section("ner"), make_section("bert_ner"), make_section("textcat", "bert_textcat")
    names = ("first", "second")
    assert match_sections([one], [other, one], names) == [(one, one)]
    assert match_sections([one], [cats, other], names) == [(one, other)]
    with pytest.raises(SettingError) as caught:
        match_sections([one, cats], [other], names)
    assert (caught.value.name, caught.value.value) == ("against", "second")
    assert str(caught.value).endswith(
        "Expected a pipeline with one bert_textcat named 'textcat', as in first; it has bert_ner (bert_ner)."
    )
    with pytest.raises(SettingError, match="it has a \\(bert_ner\\), b \\(bert_ner\\)"):
        match_sections([one], [make_section("a"), make_section("b")], names)
