"""Entities and blocked tokens that are on a document before `bert_ner`: stock `ner` keeps them, and so does ours."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.models.heads.losses import TokenLoss
from spacy_bertft.models.heads.token import TokenScores
from spacy_bertft.tags.chain import path_log_probs
from spacy_bertft.tags.forward_backward import build_chain, build_free_chain
from spacy_bertft.tags.grammar import build_grammar
from spacy_bertft.training.optimizer import configure_adamw

GOLD = {TEXTS[0]: [(19, 33, "ACTOR"), (43, 48, "YEAR")]}  # show me films with drew barrymore from the 1980s


@pytest.fixture(scope="module")
def nlp(checkpoint):
    """A pipeline that has learned one text by heart."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in GOLD.items()]
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    assert list_texts(nlp(TEXTS[0])) == ["drew barrymore", "1980s"]
    return nlp


def list_texts(doc: Doc) -> list[str]:
    return [ent.text for ent in doc.ents]


def test_entities_of_a_ruler_stay_with_their_ids(nlp):
    doc = nlp.make_doc(TEXTS[0])
    doc.ents = [Span(doc, 5, 6, label="NAME", kb_id="Q676094", span_id="barrymore")]
    doc = nlp(doc)
    assert list_texts(doc)[-2:] == ["barrymore", "1980s"]
    [kept] = [ent for ent in doc.ents if ent.text == "barrymore"]
    assert (kept.label_, kept.kb_id_, kept.id_, kept.ent_id_) == ("NAME", "Q676094", "barrymore", "barrymore")
    assert "barrymore" not in [span.text for span in doc.spans["bert_ner"]]
    assert all(token.ent_iob_ in ("B", "I", "O") for token in doc)


def test_blocked_tokens_stay_blocked(nlp):
    doc = nlp.make_doc(TEXTS[0])
    doc.set_ents([], blocked=[doc[5:6]], default="missing")
    doc = nlp(doc)
    assert (doc[5].ent_iob, doc[5].ent_type) == (3, 0)
    assert all(ent.start > 5 or ent.end <= 5 for ent in doc.ents)
    assert "1980s" in list_texts(doc)


def test_a_blocked_line_break_ends_an_entity(nlp):
    """It has no subword token, so no score says that it is blocked."""
    text = TEXTS[0].replace("drew barrymore", "drew \n barrymore")
    assert "drew \n barrymore" in list_texts(nlp(text))
    doc = nlp.make_doc(text)
    breaks = [doc[token.i : token.i + 1] for token in doc if "\n" in token.text]
    doc.set_ents([], blocked=breaks, default="missing")
    doc = nlp(doc)
    assert not any("\n" in text for text in list_texts(doc))
    assert {"drew", "1980s"} <= set(list_texts(doc))


def test_its_own_entities_are_predicted_again(nlp):
    """So a document may go through the pipeline twice, or through one that knows more."""
    doc = nlp(TEXTS[0])
    scores = [ent._.bertft_score for ent in doc.ents]
    again = nlp(doc)
    assert list_texts(again) == ["drew barrymore", "1980s"]
    assert [ent._.bertft_score for ent in again.ents] == scores
    assert [span.text for span in again.spans["bert_ner"]] == list_texts(again)
    again.ents = [Span(again, 4, 6, label="CORRECTED"), again.ents[1]]
    assert [ent.label_ for ent in nlp(again).ents] == ["CORRECTED", "YEAR"]


def test_overwrite_replaces_them(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    other = spacy.load(tmp_path, config={"components": {"bert_ner": {"overwrite": True}}})
    doc = other.make_doc(TEXTS[0])
    doc.set_ents([Span(doc, 5, 6, label="NAME")], blocked=[doc[8:9]])
    assert list_texts(other(doc)) == ["drew barrymore", "1980s"]


@pytest.mark.everyday(4)
@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_predicted_around_them_is_the_best_valid_path(nlp, scheme, seed):
    """Found by trying all paths that are outside on every token that is taken."""
    tags = {"bio": ["O", "B-X", "I-X"], "bioes": ["O", "B-X", "I-X", "E-X", "S-X"]}[scheme]
    grammar = build_grammar(tags, scheme)
    chain, n_tokens = build_chain(grammar), 5
    numbers = np.random.default_rng(seed)
    values = numbers.normal(0, 3, (n_tokens, len(tags))).astype(np.float32)
    index = np.arange(n_tokens)
    chains = chain, build_free_chain(len(tags))
    loss = TokenLoss(1.0, 0.0, 0.0, 0.0)
    scores = TokenScores(values, index, index + 1, np.array([n_tokens]), grammar, *chains, loss)
    doc = Doc(nlp.vocab, words=list("abcde"))
    taken = int(numbers.integers(n_tokens))
    doc.set_ents([Span(doc, taken, taken + 1, label="NAME")], default="missing")

    def score(path: tuple[int, ...]) -> float:
        is_outside = path[taken] == 0
        found = path_log_probs(np.array(path), values, scores.lengths, chain)
        return float(found[0]) if is_outside else -np.inf

    best = max(product(range(len(tags)), repeat=n_tokens), key=score)
    ner = nlp.create_pipe("bert_ner")
    ner.cfg["labels"] = ["X"]
    ner.model.set_tags(tags, scheme)
    [entities] = ner._decode([doc], scores)
    inside = {token for each in entities for token in range(each.start, each.end)}
    assert inside == {token for token in range(n_tokens) if best[token] != 0}
    assert len(entities) == sum(tags[column][0] in "BS" for column in best)
    assert all(0 < each.prob <= 1 for each in entities)
