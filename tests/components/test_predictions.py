"""Predictions, gold annotation in the tokens of the predicted document, and whether the two agree."""

from __future__ import annotations

import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from text_pipelines import make_pipeline

from spacy_bertft.components.entity_scores import write_entities
from spacy_bertft.components.predictions import (
    Prediction,
    list_categories,
    list_entities,
    list_gold_labels,
    list_tags,
    read_gold_entities,
    stack_judged,
)
from spacy_bertft.explanation.predictions import list_judged
from spacy_bertft.tags.schemes import TagSpan

nlp = spacy.blank("en")


def make_reference(words: list[str], tags: list[str], spaces: list[bool] | None = None) -> Doc:
    return Doc(nlp.vocab, words=words, spaces=spaces, ents=tags)


def test_the_same_tokens():
    reference = make_reference(["al", "pacino", "films"], ["B-ACTOR", "I-ACTOR", "O"])
    gold = read_gold_entities(Example(nlp.make_doc(reference.text), reference))
    assert gold.spans == [TagSpan(0, 2, "ACTOR")]
    assert gold.is_known.all()
    assert gold.misaligned == []


def test_other_tokens():
    reference = make_reference(["don't", "tell", "al", "pacino"], ["O", "O", "B-ACTOR", "I-ACTOR"])
    gold = read_gold_entities(Example(nlp.make_doc(reference.text), reference))
    assert gold.spans == [TagSpan(3, 5, "ACTOR")]
    assert gold.is_known.all()


def test_other_whitespace():
    reference = make_reference(["films", "al", "pacino"], ["O", "B-ACTOR", "I-ACTOR"])
    gold = read_gold_entities(Example(nlp.make_doc("films  al   pacino"), reference))
    assert gold.spans == [TagSpan(2, 5, "ACTOR")]
    assert gold.misaligned == []


def test_an_entity_that_does_not_fit():
    spaces = [False, True, True]
    reference = make_reference(["barry", "more", "films"], ["B-ACTOR", "O", "B-GENRE"], spaces)
    gold = read_gold_entities(Example(nlp.make_doc("barrymore films"), reference))
    assert gold.spans == [TagSpan(1, 2, "GENRE")]
    assert gold.is_known.tolist() == [False, True]
    assert gold.misaligned == ["barry"]


def test_no_annotation():
    doc = nlp.make_doc("al pacino")
    gold = read_gold_entities(Example(doc, doc.copy()))
    assert gold.spans == []
    assert not gold.is_known.any()


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("values", ["a 1.0", "b 0.1 a 0.0", "c 0.5 a 0.5", "a 0.2 c 0.4 b 0.4", "b 1.0 d 1.0"])
def test_labels_hold_that_the_scorer_of_spacy_takes_as_right(values, exclusive):
    words = values.split()
    cats = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    held = list_gold_labels(cats, "abc", exclusive=exclusive)
    for label in "abc":
        example = Example(nlp.make_doc("a"), nlp.make_doc("a"))
        example.predicted.cats, example.reference.cats = {label: 1.0}, cats
        scores = Scorer.score_cats([example], "cats", labels=list("abc"), multi_label=not exclusive)
        assert (label in held) == (scores["cats_f_per_type"][label]["p"] == 1)


def test_no_class_is_named_by_zeros():
    assert list_gold_labels({"a": 0.0, "b": 0.0}, "ab", exclusive=True) == []


def test_values_between_0_and_1_are_judged_the_same_everywhere(checkpoint, tmp_path):
    taught, name = make_pipeline(checkpoint, "bert_textcat_multilabel"), "bert_textcat_multilabel"
    pipe, reference = taught.get_pipe(name), taught.make_doc(TEXTS[0])
    reference.cats = {"and": 0.3, "me": 0.6, "the": 0.0}
    example = Example(taught(TEXTS[0]), reference)
    assert stack_judged(pipe.list_predictions(example))[1].tolist() == [True, True, False]
    assert pipe.collect_calibration_data([example]).is_correct.tolist() == [True, True, False]
    path = tmp_path / "gold.spacy"
    DocBin(docs=[reference]).to_disk(path)
    assert {each.gold for _, each in list_judged(taught, path, name, pipe)} == {"and", "me"}


def annotate_entities(doc: Doc, *spans: tuple[int, int, str, float]) -> Doc:
    write_entities(doc, "ner", [(Span(doc, start, end, label), prob) for start, end, label, prob in spans])
    return doc


def test_entities_without_gold_annotation():
    [prediction] = list_entities("ner", annotate_entities(nlp.make_doc("al pacino films"), (0, 2, "ACTOR", 0.75)))
    assert prediction == Prediction("ner", "entity", "ACTOR", 0, 2, 0.75)
    assert (prediction.confidence, prediction.gold, prediction.is_correct, prediction.holds) == (0.75, None, None, None)


def test_entities_that_are_right_wrong_and_not_known():
    words = ["al", "pacino", "films", "of", "1974", "here"]
    reference = make_reference(words, ["B-ACTOR", "I-ACTOR", "O", "O", "B-YEAR", None])
    spans = [(0, 2, "ACTOR", 0.9), (2, 3, "GENRE", 0.5), (3, 5, "YEAR", 0.6), (5, 6, "PLACE", 0.4)]
    example = Example(annotate_entities(nlp.make_doc(reference.text), *spans), reference)
    predictions = list_entities("ner", example)
    assert [each.gold for each in predictions] == ["ACTOR", "", "", None]
    assert [each.is_correct for each in predictions] == [True, False, False, None]
    assert [each.overlaps for each in predictions[1:]] == [(), (TagSpan(4, 5, "YEAR"),), ()]
    probs, holds = stack_judged(predictions)
    assert probs.tolist() == [0.9, 0.5, 0.6]
    assert holds.tolist() == [True, False, False]


def test_a_wrong_label_on_the_right_tokens():
    reference = make_reference(["al", "pacino"], ["B-ACTOR", "I-ACTOR"])
    example = Example(annotate_entities(nlp.make_doc("al pacino"), (0, 2, "TITLE", 0.5)), reference)
    [prediction] = list_entities("ner", example)
    assert (prediction.gold, prediction.is_correct) == ("ACTOR", False)


def test_a_document_that_the_component_has_not_annotated():
    assert list_entities("ner", nlp.make_doc("al pacino")) == []
    assert list_categories("cats", "ab", nlp.make_doc("al pacino"), exclusive=True, threshold=0.0) == []


def test_tags():
    reference = Doc(nlp.vocab, words=["a", "b", "c"], tags=["X", "Y", ""])
    doc = Doc(nlp.vocab, words=["a", "b", "c"], tags=["X", "", "Z"])
    predictions = list_tags("tagger", Example(doc, reference))
    assert [(each.label, each.gold, each.is_correct) for each in predictions] == [
        ("X", "X", True),
        ("", "Y", False),
        ("Z", None, None),
    ]
    assert (predictions[2].start, predictions[2].end, predictions[2].prob) == (2, 3, None)


def make_cats(predicted: dict[str, float], gold: dict[str, float]) -> Example:
    example = Example(nlp.make_doc("a"), nlp.make_doc("a"))
    example.predicted.cats, example.reference.cats = predicted, gold
    return example


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ({"a": 1.0, "b": 0.0}, ("a", True)),
        ({"a": 0.0, "b": 1.0}, ("b", False)),
        ({"a": 0.0, "b": 0.0}, (None, None)),
        ({}, (None, None)),
        ({"other": 1.0}, ("other", False)),  # a class that no component of the pipeline has
    ],
)
def test_categories_that_exclude_each_other(gold, expected):
    example = make_cats({"a": 0.75, "b": 0.25}, gold)
    [prediction] = list_categories("cats", "ab", example, exclusive=True, threshold=0.0)
    assert (prediction.label, prediction.prob) == ("a", 0.75)
    assert (prediction.gold, prediction.is_correct) == expected


def test_a_category_that_a_later_component_has_removed():
    """It is not predicted, and missed where it holds."""
    example = make_cats({"a": 0.75}, {"a": 1.0, "b": 1.0})
    predictions = list_categories("cats", "abc", example, exclusive=False, threshold=0.5)
    assert [(each.label, each.prob, each.is_correct) for each in predictions] == [("a", 0.75, True), ("b", 0.0, False)]


def test_categories_that_may_hold_together():
    example = make_cats({"a": 0.75, "b": 0.25, "c": 0.25}, {"a": 0.0, "b": 0.0})
    predictions = list_categories("cats", "abc", example, exclusive=False, threshold=0.5)
    assert [each.is_predicted for each in predictions] == [True, False, False]
    assert [each.confidence for each in predictions] == [0.75, 0.75, 0.75]
    assert [each.gold for each in predictions] == ["", "", None]
    assert [each.is_correct for each in predictions] == [False, True, None]
    assert [each.holds for each in predictions] == [False, False, None]
