"""Gold entities in the tokens of the predicted document."""

from __future__ import annotations

import spacy
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.gold import read_gold_entities
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
