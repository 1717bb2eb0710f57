"""Several tokens in one subword token, such as the characters of a Chinese word: they get one prediction."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

nlp = spacy.blank("en")


def make_doc(*, entities: list[tuple[int, int]] = (), tag: str = "", is_split: bool = True) -> Doc:
    """Make `who starred and who`, with `starred` (one subword token) cut into its letters."""
    words = ["who", *("starred" if is_split else ["starred"]), "and", "who"]
    spaces = [len(word) > 1 for word in words]
    spaces[-3] = True
    doc = Doc(nlp.vocab, words=words, spaces=spaces, tags=[tag or "X"] * len(words))
    doc.ents = [Span(doc, start, end, label="ORG") for start, end in entities]
    return doc


def make_trained(checkpoint: str, factory: str, gold: Doc, n_steps: int = 30):
    fix_random_seed(0)
    pipeline = spacy.blank("en", vocab=nlp.vocab)
    pipe = pipeline.add_pipe(factory, config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    examples = [Example(Doc(nlp.vocab, [t.text for t in gold], [bool(t.whitespace_) for t in gold]), gold)]
    pipeline.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        pipeline.update(examples, sgd=optimizer)
    return pipe


def test_the_word_is_one_subword_token(checkpoint):
    ner = make_trained(checkpoint, "bert_ner", make_doc(entities=[(1, 8)]), n_steps=1)
    scores = ner.model.predict([make_doc(), make_doc(is_split=False)])
    assert scores.lengths.tolist() == [4, 4]
    assert scores.token_index.tolist() == [0, 1, 8, 9, 10, 11, 12, 13]
    assert scores.token_end.tolist() == [1, 8, 9, 10, 11, 12, 13, 14]
    np.testing.assert_array_equal(*np.split(scores.scores, 2))


@pytest.mark.parametrize("is_split", [True, False])
def test_an_entity_is_one_however_many_tokens_its_word_has(checkpoint, is_split):
    """Trained on either, it predicts both."""
    gold = make_doc(entities=[(1, 8) if is_split else (1, 2)], is_split=is_split)
    ner = make_trained(checkpoint, "bert_ner", gold)
    docs = [ner(make_doc()), ner(make_doc(is_split=False))]
    assert [[ent.text for ent in doc.ents] for doc in docs] == [["starred"], ["starred"]]
    assert [token.ent_iob_ for token in docs[0]] == ["O", "B", *"IIIIII", "O", "O"]


def test_tokens_of_one_subword_token_have_one_tag(checkpoint):
    gold = make_doc()
    for token in gold:
        token.tag_ = "N" if 1 <= token.i < 8 else "X"
    tagger = make_trained(checkpoint, "bert_tagger", gold)
    assert [token.tag_ for token in tagger(make_doc())] == ["X", *"NNNNNNN", "X", "X"]


@pytest.mark.parametrize("entity", [(1, 3), (3, 8), (2, 4), (4, 9), (0, 2)])
def test_an_entity_that_cuts_a_subword_token_is_counted(checkpoint, entity):
    """No tag spells it. Before, `starred` was learned as an entity of a few of its letters."""
    with pytest.warns(UserWarning, match="within a subword token"):
        ner = make_trained(checkpoint, "bert_ner", make_doc(entities=[entity]), n_steps=2)
    assert ner.n_misaligned == 2
