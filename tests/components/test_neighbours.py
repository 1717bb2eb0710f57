"""Our components among spaCy's own: in any place, and neither disturbs the other."""

from __future__ import annotations

import pickle
from functools import cache

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.lookups import Lookups
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.checkpoints import read_head

TRAINED = ("tagger", "parser", "ner")
RULES = ("sentencizer", "attribute_ruler", "lemmatizer", "entity_ruler")
GOLD = [
    {
        "tags": ["VB", "PRP", "NNS", "IN", "NNP", "NNP", "IN", "DT", "NNS"],
        "heads": [0, 0, 0, 2, 5, 3, 0, 8, 6],
        "deps": ["ROOT", "dative", "dobj", "prep", "compound", "pobj", "prep", "det", "pobj"],
        "entities": [(19, 33, "STAR")],
    }
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Give the folder of a checkpoint whose head finds something in every text."""
    names = {"id2label": dict(enumerate(["O", "B-X", "I-X"]))}
    return str(make_checkpoint(tmp_path_factory.mktemp("bert"), "bert", 3, **names))


def make_neighbours():
    """Make a pipeline of spaCy's own, trained on one sentence, with its rule components."""
    return pickle.loads(train_neighbours())


@cache
def train_neighbours() -> bytes:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    for name in ("sentencizer", *TRAINED):
        nlp.add_pipe(name, config={"min_action_freq": 1} if name == "parser" else {})
    examples = [Example.from_dict(nlp.make_doc(TEXTS[0]), GOLD[0])]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(15):
        nlp.update(examples, sgd=optimizer)
    nlp.add_pipe("attribute_ruler").add([[{"ORTH": "films"}]], {"POS": "NOUN"})
    lookups = Lookups()
    lookups.add_table("lemma_lookup", {"films": "film", "starred": "star"})
    nlp.add_pipe("lemmatizer", config={"mode": "lookup"}).initialize(lookups=lookups)
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "FILM", "pattern": "mission impossible"}])
    return pickle.dumps(nlp)


def add_bert(nlp, checkpoint: str, place: int, **settings) -> None:
    settings |= {"model": {"decoder": "viterbi", "encoder": {"name": checkpoint, "precision": "fp32"}}}
    nlp.add_pipe("bert_ner", config=settings, **({"before": place} if place < len(nlp.pipe_names) else {"last": True}))
    pipe = nlp.get_pipe("bert_ner")
    pipe.take_head(read_head(checkpoint, "token"))
    pipe.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), {})])


def read(doc):
    tokens = [(token.tag_, token.dep_, token.head.i, token.lemma_, token.pos_, token.is_sent_start) for token in doc]
    return tokens, [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.mark.everyday(3)
@pytest.mark.parametrize("place", range(len(TRAINED) + len(RULES) + 1))
def test_in_any_place_the_neighbours_say_what_they_said(place, bert, tmp_path):
    plain, nlp = make_neighbours(), make_neighbours()
    add_bert(nlp, bert, place, overwrite=False)
    alone = spacy.blank("en")
    add_bert(alone, bert, 0)
    assert any(alone(text).ents for text in TEXTS)
    for text in TEXTS:
        before = plain.make_doc(text)
        for _, pipe in plain.pipeline[:place]:
            before = pipe(before)
        preset = {token for ent in before.ents for token in range(ent.start, ent.end)}
        doc = nlp(text)
        assert read(doc)[0] == read(plain(text))[0]
        found = {(ent.start, ent.end) for ent in doc.spans["bert_ner"]}
        assert preset.isdisjoint(token for start, end in found for token in range(start, end))
        if not preset:
            assert found == {(ent.start, ent.end) for ent in alone(text).ents}
        assert {(ent.start, ent.end, ent.label_) for ent in before.ents} <= set(read(doc)[1])
    nlp.to_disk(tmp_path / "pipeline")
    other = spacy.load(tmp_path / "pipeline")
    assert other.pipe_names == nlp.pipe_names
    assert [read(doc) for doc in other.pipe(TEXTS)] == [read(doc) for doc in nlp.pipe(TEXTS)]


def test_overwriting_gives_what_it_gives_alone(bert):
    nlp, alone = make_neighbours(), spacy.blank("en")
    add_bert(nlp, bert, 99, overwrite=True)
    add_bert(alone, bert, 0)
    assert [read(nlp(text))[1] for text in TEXTS] == [read(alone(text))[1] for text in TEXTS]


def test_the_neighbours_go_on_learning_beside_it(bert):
    nlp = make_neighbours()
    add_bert(nlp, bert, 1)
    examples = [Example.from_dict(nlp.make_doc(TEXTS[0]), GOLD[0] | {"entities": [(43, 48, "X")]})]
    nlp.get_pipe("ner").add_label("X")
    before = nlp.get_pipe("bert_ner").model.to_bytes()
    losses = nlp.update(examples, sgd=nlp.resume_training())
    assert {*TRAINED, "bert_ner"} <= losses.keys()
    assert nlp.get_pipe("bert_ner").model.to_bytes() != before
