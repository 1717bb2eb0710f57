"""`bert_tagger`: tags, and parts of speech by setting."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import DataError, SettingError, UnsupportedError
from spacy_bertft.training.optimizer import configure_adamw

TAGGED = {
    "show me films": ["VERB", "PRON", "NOUN"],
    "who directed it": ["PRON", "VERB", "PRON"],
    "show  the movies": ["VERB", "", "DET", "NOUN"],  # two blanks: the second is a token of its own
}


def make_trained(checkpoint, n_steps=40, **settings):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    config = {"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}, **settings}
    nlp.add_pipe("bert_tagger", config=config)
    examples = [Example.from_dict(nlp.make_doc(text), {"tags": tags}) for text, tags in TAGGED.items()]
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp, examples


@pytest.fixture(scope="module")
def trained(checkpoint):
    return make_trained(checkpoint)


def test_it_learns(trained):
    nlp, examples = trained
    assert [[token.tag_ for token in doc] for doc in nlp.pipe(TAGGED)] == list(TAGGED.values())
    assert nlp.evaluate(examples)["tag_acc"] == 1.0
    assert all(token.pos == 0 for token in nlp("show me films"))


def test_set_pos(checkpoint):
    nlp, _ = make_trained(checkpoint, set_pos=True)
    doc = nlp("show  the movies")
    assert [token.pos_ for token in doc] == [token.tag_ for token in doc] == ["VERB", "", "DET", "NOUN"]


def test_set_pos_wants_universal_parts_of_speech():
    tagger = spacy.blank("en").add_pipe("bert_tagger", config={"set_pos": True})
    with pytest.raises(SettingError, match="NNP"):
        tagger.add_label("NNP")


@pytest.mark.parametrize("overwrite", [True, False])
def test_overwrite(checkpoint, trained, tmp_path, overwrite):
    trained[0].to_disk(tmp_path)
    nlp = spacy.load(tmp_path, config={"components": {"bert_tagger": {"overwrite": overwrite}}})
    doc = nlp.make_doc("show me films")
    doc[0].tag_ = "KEPT"
    doc = nlp(doc)
    assert [token.tag_ for token in doc] == ["VERB" if overwrite else "KEPT", "PRON", "NOUN"]


def test_round_trip(trained, tmp_path):
    nlp, _ = trained
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert [[token.tag_ for token in doc] for doc in loaded.pipe(["", *TAGGED, ""])] == [[], *TAGGED.values(), []]


def test_tokens_without_gold_tag_leave_the_loss(trained):
    nlp, _ = trained
    tagger = nlp.get_pipe("bert_tagger")
    doc = nlp.make_doc("show me films")
    answer, _ = tagger.model.begin_update([doc])
    loss, gradient = tagger.get_loss([Example.from_dict(doc, {"tags": ["", "NOUN", ""]})], answer)
    assert loss > 0.1
    assert abs(gradient.scores[[0, 2]]).max() < 1e-9


def test_labels_are_smoothed_without_a_loss_beside(checkpoint):
    """The loss of a tagger is the cross-entropy of each token: torch's, with the same smoothing."""
    nlp, examples = make_trained(checkpoint, 1, model={"label_smoothing": 0.2, "encoder": {"name": checkpoint}})
    tagger = nlp.get_pipe("bert_tagger")
    scores = tagger.model.predict([example.predicted for example in examples])
    loss, gradient = tagger.get_loss(examples, scores)
    gold = torch.tensor([tagger.labels.index(tag) for tags in TAGGED.values() for tag in tags if tag])
    logits = torch.tensor(scores.scores, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(logits, gold, label_smoothing=0.2)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    np.testing.assert_allclose(gradient.scores, logits.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_a_tag_that_is_known_to_be_wrong(checkpoint, label_smoothing):
    """`!NOUN` allows the token every other tag; it becomes no label."""
    model = {"label_smoothing": label_smoothing, "encoder": {"name": checkpoint}}
    nlp, _ = make_trained(checkpoint, 1, model=model)
    tagger = nlp.get_pipe("bert_tagger")
    doc = nlp.make_doc("show me films")
    example = Example.from_dict(doc, {"tags": ["", "!NOUN", ""]})
    assert not list(tagger._read_labels(example))
    scores = tagger.model.predict([doc])
    probs = torch.tensor(scores.scores).softmax(dim=1)[1].numpy()
    loss, gradient = tagger.get_loss([example], scores)
    noun = tagger.labels.index("NOUN")
    assert loss == pytest.approx(-np.log(1 - probs[noun]), abs=1e-5)
    assert gradient.scores[1, noun] > 0 > np.delete(gradient.scores[1], noun).max()
    with pytest.raises(DataError, match="VERBB"):
        tagger.get_loss([Example.from_dict(doc, {"tags": ["", "!VERBB", ""]})], scores)


def test_a_loss_of_tags_is_one_clear_error(trained):
    nlp, examples = trained
    tagger = nlp.get_pipe("bert_tagger")
    with pytest.raises(UnsupportedError, match=r"model\.predict\(docs\)"):
        tagger.get_loss(examples, tagger.predict([example.predicted for example in examples]))
