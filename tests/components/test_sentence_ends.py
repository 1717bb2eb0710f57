"""Heads over an encoder that reads each sentence as if it came alone."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_docs import join_sentences
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example
from stock_components import STOCK, add_stock, make_examples

from spacy_bertft.errors import DataError
from spacy_bertft.explanation.gradients import weigh_tokens
from spacy_bertft.training.batches import join_examples
from spacy_bertft.training.optimizer import configure_adamw

TEXT = "Who directed it? Drew Barrymore.  And when?\n\n"


def load(folder, windows_over: str) -> Language:
    encoder = {"windows_over": windows_over}
    models = {"bert_ner": {"model": {"encoder": encoder}}, "bert_encoder": {"model": encoder}}
    nlp = spacy.load(folder, config={"components": models})
    torch.manual_seed(0)
    for name, parameter in nlp.get_pipe("bert_ner").model.module.named_parameters():
        if name in ("start", "transitions", "end"):  # as if it had learned them
            torch.nn.init.normal_(parameter)
    return nlp


@pytest.fixture(scope="module")
def whole(all_heads_dir) -> Language:
    return load(all_heads_dir, "text")


@pytest.fixture(scope="module")
def by_sentence(all_heads_dir) -> Language:
    return load(all_heads_dir, "sentences")


def list_found(doc, first_char: int = 0) -> list[tuple]:
    ents = [(e.start_char + first_char, e.end_char + first_char, e.label_) for e in doc.ents]
    tags = [(token.idx + first_char, token.tag_) for token in doc]
    return sorted(map(str, [*ents, *tags]))


@given(texts=st.lists(st.sampled_from([*TEXTS, "drew barrymore", " ".join(TEXTS)]), min_size=1, max_size=4))
def test_a_document_has_the_predictions_of_its_sentences(whole, by_sentence, texts):
    doc, alone = by_sentence(join_sentences(whole, texts)), [whole(text) for text in texts]
    first_chars = np.cumsum([0, *(len(text) + 1 for text in texts)]).tolist()
    found = [each for one, first in zip(alone, first_chars, strict=False) for each in list_found(one, first)]
    assert list_found(doc) == sorted(found)
    probs = [score for one in alone for score in one.spans["bert_ner"].attrs["scores"]]
    np.testing.assert_allclose(doc.spans["bert_ner"].attrs["scores"], probs, atol=1e-5)


def test_predictions_survive_the_way_to_disk(by_sentence, tmp_path):
    by_sentence.to_disk(tmp_path)
    nlp, doc = spacy.load(tmp_path), join_sentences(by_sentence, TEXTS)
    assert nlp.get_pipe("bert_ner").model.encoder.settings.windows_over == "sentences"
    assert list_found(nlp(doc.copy())) == list_found(by_sentence(doc))


def test_an_entity_on_a_document_already_is_kept(by_sentence):
    doc = join_sentences(by_sentence, TEXTS[:2])
    doc.ents = [doc.char_span(*(TEXTS[0].index("the"), len(TEXTS[0]) + 4), label="ACROSS")]
    assert [ent.label_ for ent in by_sentence(doc).ents if ent.label_ == "ACROSS"] == ["ACROSS"]


@pytest.mark.parametrize("windows", ["mean", "max", "first"])
def test_an_explanation_is_of_the_windows_that_are_read(by_sentence, windows, monkeypatch):
    """The last sentence here, a line break, is none of them."""
    model = by_sentence.get_pipe("bert_textcat").model
    monkeypatch.setattr(model, "windows", windows)
    doc = spacy.blank("en").add_pipe("sentencizer")(by_sentence.make_doc(TEXT))
    assert [sentence.text for sentence in doc.sents][-1].isspace()
    [scores] = model.predict([doc])
    assert weigh_tokens(model, doc, 1, "attention", 1).score == pytest.approx(float(scores[1]), abs=1e-4)


def make_learning(checkpoint: str, *factories: str) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "windows_over": "sentences"}})
    for factory in factories:
        add_stock(nlp, factory)
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


@pytest.mark.everyday(2)
@pytest.mark.parametrize("factory", STOCK)
def test_stock_components_learn_where_sentences_are_annotated(checkpoint, factory):
    """spaCy initializes them with documents that nothing has annotated."""
    nlp, optimizer = make_learning(checkpoint, factory), configure_adamw(1e-4)
    with pytest.raises(DataError, match=r"training\.annotating_components"):
        nlp.update(make_examples(nlp), sgd=optimizer)
    losses = nlp.update(make_examples(nlp), sgd=optimizer, annotates=["sentencizer"])
    assert losses[factory] >= 0


def test_joined_examples_know_where_each_ends():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    examples = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in TEXTS[:3]]
    [joined] = join_examples(examples, level=1.0, n_words=10_000)
    doc = nlp.get_pipe("sentencizer")(joined.predicted)
    assert {len(example.predicted) for example in examples} <= {len(sentence) for sentence in doc.sents}
