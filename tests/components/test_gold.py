"""Gold entities in the tokens of the predicted document."""

from __future__ import annotations

import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from text_pipelines import make_pipeline

from spacy_bertft.components.gold import list_gold_labels, read_gold_entities
from spacy_bertft.explain.judged import judge_answers
from spacy_bertft.tags import TagSpan

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
    assert pipe.judge([example])[1].tolist() == [True, True, False]
    assert pipe.collect_answers([example]).is_right.tolist() == [True, True, False]
    path = tmp_path / "gold.spacy"
    DocBin(docs=[reference]).to_disk(path)
    answers = judge_answers(taught, path, name, pipe)
    assert {answer.target for answer in answers if not answer.gold.startswith("not")} == {"and", "me"}
