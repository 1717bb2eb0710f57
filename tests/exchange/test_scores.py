"""Which scores a model card shows of a component, and under which names of the hub."""

from __future__ import annotations

import pytest

from spacy_bertft.exchange.scores import list_results, select_scores

PERFORMANCE = {
    "ents_f": 0.5,
    "ents_r": None,
    "ents_per_type": {"YEAR": {"f": 1.0}},
    "tag_acc": 0.75,
    "cats_accuracy": 0.1,
    "cats_calibration_error": 0.01,
    "cats_by_component": {"topic": {"cats_accuracy": 0.9}, "spam": {"cats_accuracy": 0.1}},
    "ner_loss": 12.5,
}


@pytest.mark.parametrize(
    ("component", "factory", "expected"),
    [
        ("ner", "bert_ner", {"ents_f": 0.5}),
        ("tags", "bert_tagger", {"tag_acc": 0.75}),
        ("topic", "bert_textcat", {"cats_accuracy": 0.9}),
        ("textcat", "bert_textcat_multilabel", {"cats_accuracy": 0.1, "cats_calibration_error": 0.01}),
    ],
)
def test_scores_of_one_component(component, factory, expected):
    assert select_scores(PERFORMANCE, component, factory) == expected


def test_only_metrics_that_the_hub_knows_become_results():
    [result] = list_results("en_mail", "text-classification", "test", {"cats_accuracy": 0.9, "cats_score": 0.8})
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("accuracy", 0.9, "test data of en_mail")
    assert "spaCy pipeline" in result.metric_name
