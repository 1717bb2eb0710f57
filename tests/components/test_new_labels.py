"""Labels that a trained component is given: what it knew stays, and what is new can be learned."""

from __future__ import annotations

import random

import numpy as np
import pytest
import spacy
import torch
from all_heads import HEADS, read_answer
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example
from spacy.util import compounding, minibatch
from thinc.api import Adam

from spacy_bertft.errors import SettingError
from spacy_bertft.training.optimizer import AdamW, configure_adamw

# What each head is taught of two texts after `NEW` was added, next to what it knew.
LATER = {
    "bert_ner": [[(0, 4, "NEW"), (19, 33, "ACTOR"), (43, 48, "YEAR")], [(0, 3, "NEW"), (13, 26, "TITLE")]],
    "bert_textcat": [{"film": 1.0, "other": 0.0, "NEW": 0.0}, {"film": 0.0, "other": 0.0, "NEW": 1.0}],
    "bert_textcat_multilabel": [{"me": 1.0, "the": 1.0, "NEW": 0.0}, {"me": 0.0, "the": 1.0, "NEW": 1.0}],
    "bert_spancat": [{"sc": [(0, 4, "NEW"), (0, 13, "QUERY")]}, {"sc": [(0, 3, "NEW")]}],
}
KEYS = {"bert_spancat": "spans", "bert_ner": "entities", "bert_textcat": "cats", "bert_textcat_multilabel": "cats"}
every_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def nlp(all_heads) -> Language:
    return all_heads


def make_examples(nlp: Language, head: str) -> list[Example]:
    docs = [nlp.make_doc(text) for text in TEXTS[:2]]
    if head == "bert_tagger":
        gold = [{"tags": ["NEW", *("LONG" if len(token) > 3 else "SHORT" for token in doc[1:])]} for doc in docs]
    else:
        gold = [{KEYS[head]: each} for each in LATER[head]]
    return [Example.from_dict(*pair) for pair in zip(docs, gold, strict=True)]


def read(nlp: Language) -> list[dict]:
    return [read_answer(doc) for doc in nlp.pipe(TEXTS)]


def copy_state(pipe) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in pipe.model.module.state_dict().items()}


def cut(tensor, like):
    """Return the part of a tensor that was there before it grew."""
    return tensor[tuple(map(slice, like.shape))]


@every_head
def test_what_was_learned_stays_bit_for_bit_and_so_do_predictions(nlp, head):
    pipe = nlp.get_pipe(head)
    weights, labels, predicted = copy_state(pipe), pipe.labels, read(nlp)
    assert [pipe.add_label("NEW"), pipe.add_label("NEW"), pipe.add_label("NEWER")] == [1, 0, 1]
    assert pipe.labels == (*labels, "NEW", "NEWER")
    grown = copy_state(pipe)
    assert all(torch.equal(cut(grown[name], tensor), tensor) for name, tensor in weights.items())
    n_added = 4 if head == "bert_ner" else 2  # B and I
    assert grown["linear.bias"].shape[0] == weights["linear.bias"].shape[0] + n_added == pipe.model.get_dim("nO")
    for before, after in zip(predicted, read(nlp), strict=True):
        assert after["tags"] == before["tags"]
        for key in ("ents", "spans"):
            assert [each[:3] for each in after[key]] == [each[:3] for each in before[key]]
        assert {label: after["cats"][label] for label in before["cats"]} == pytest.approx(before["cats"], abs=0.02)
        assert max((after["cats"][each] for each in after["cats"].keys() - before["cats"].keys()), default=0) < 0.02


@pytest.mark.everyday(2)
@every_head
def test_new_labels_are_learned_and_stored(nlp, head, tmp_path):
    pipe = nlp.get_pipe(head)
    pipe.add_label("NEW")
    examples, optimizer = make_examples(nlp, head), configure_adamw(5e-3)
    for _ in range(40):
        pipe.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "grown")
    loaded = spacy.load(tmp_path / "grown")
    assert loaded.get_pipe(head).labels[-1] == "NEW"
    doc = loaded(TEXTS[1])
    new = {"bert_ner": doc[0].ent_type_, "bert_tagger": doc[0].tag_}
    new["bert_spancat"] = "".join(span.label_ for span in doc.spans["sc"] if span.text == "who")
    assert new[head] == "NEW" if head in new else doc.cats["NEW"] > 0.5


@pytest.mark.parametrize("decoder", ["crf", "viterbi", "greedy"])
def test_every_decoder_grows(checkpoint, decoder):
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32"}
    smoothing = {"token_loss": 0.0, "label_smoothing": 0.0, "consistency": 1.0}
    ner = nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder, "decoder": decoder, **smoothing}})
    examples = make_examples(nlp, "bert_ner")
    nlp.initialize(lambda: examples[:1])
    ner.add_label("TITLE")
    assert ner.model.tags[-2:] == ["B-TITLE", "I-TITLE"]
    assert ner.model.grammar.may_follow[-2:, -1].tolist() == [True, True]
    nlp.update(examples, sgd=configure_adamw(5e-3))


@pytest.mark.parametrize(
    "make", [lambda: configure_adamw(1e-3, average_decay=0.9), lambda: Adam(1e-3, use_averages=True)]
)
def test_moments_and_averages_grow(nlp, make):
    pipe, optimizer = nlp.get_pipe("bert_ner"), make()
    shim, known = pipe.model.shim, make_examples(nlp, "bert_textcat")
    for example in known:
        example.reference.ents = []
    pipe.update(known, sgd=optimizer)

    def read_moments() -> dict[str, np.ndarray]:
        shapes = {name: parameter.shape for name, parameter in pipe.model.module.named_parameters()}
        if isinstance(optimizer, AdamW):
            return {name: optimizer.moments[shim.id, name]["exp_avg"].numpy().copy() for name in shapes}
        return {name: optimizer.mom1[shim.id, name].reshape(shape).copy() for name, shape in shapes.items()}

    moments = read_moments()
    pipe.add_label("NEW")
    pipe.add_label("NEWER")
    # A gradient of zero leaves of each moment what it decays to, at the places where it was.
    for parameter in pipe.model.module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    pipe.model.shim.finish_update(optimizer)
    for name, later in read_moments().items():
        assert later.shape == pipe.model.module.get_parameter(name).shape
        np.testing.assert_allclose(cut(later, moments[name]), moments[name] * 0.9, rtol=1e-5, atol=1e-9)
        assert later.sum() == pytest.approx(cut(later, moments[name]).sum(), abs=1e-6)
        average = torch.as_tensor(optimizer.averages[shim.id, name])
        assert average.shape == later.shape
    biases = torch.as_tensor(optimizer.averages[shim.id, "linear.bias"])
    torch.testing.assert_close(biases[-4:], torch.full((4,), -5.0), atol=0.3, rtol=0)


def test_a_moment_that_was_not_reached_by_a_step_of_the_old_size_grows_too(nlp):
    """Labels are added between two steps, and then again."""
    pipe, optimizer = nlp.get_pipe("bert_ner"), Adam(1e-3)
    for label in ("NEW", "NEWER"):
        pipe.add_label(label)
        pipe.update(make_examples(nlp, "bert_ner"), sgd=optimizer)
    assert optimizer.mom1[pipe.model.shim.id, "linear.bias"].shape == (len(pipe.model.tags),)


def test_an_existing_pipeline_is_updated_as_spacys_documentation_does(nlp):
    """Add a label, resume training, disable the other pipes, and update with examples in growing batches."""
    ner = nlp.get_pipe("bert_ner")
    others = [name for name in nlp.pipe_names if name != "bert_ner"]
    before = {name: nlp.get_pipe(name).to_bytes(exclude=["vocab"]) for name in others}
    ner.add_label("NEW")
    optimizer = nlp.resume_training(sgd=configure_adamw(1e-2))
    assert nlp.resume_training() is optimizer
    data = [(text, {"entities": each}) for text, each in zip(TEXTS, LATER["bert_ner"], strict=False)]
    with nlp.select_pipes(disable=others):
        for _ in range(15):
            random.shuffle(data)
            losses: dict[str, float] = {}
            for batch in minibatch(data, size=compounding(1.0, 2.0, 1.5)):
                examples = [Example.from_dict(nlp.make_doc(text), gold) for text, gold in batch]
                nlp.update(examples, drop=0.1, losses=losses, sgd=optimizer)
    assert losses["bert_ner"] < 1.0
    assert {nlp(text)[0].ent_type_ for text, _ in data} == {"NEW"}
    assert before == {name: nlp.get_pipe(name).to_bytes(exclude=["vocab"]) for name in others}


def test_the_default_optimizer_of_spacy_works(nlp):
    nlp.config["training"]["optimizer"] = {"@optimizers": "Adam.v1"}
    nlp.get_pipe("bert_ner").add_label("NEW")
    optimizer = nlp.resume_training()
    assert nlp.update(make_examples(nlp, "bert_ner"), sgd=optimizer)["bert_ner"] > 0


def test_class_weights_of_new_labels(nlp):
    pipe = nlp.get_pipe("bert_textcat")
    pipe.cfg["class_weights"] = {"NEW": 3.0}
    pipe.add_label("NEW")
    pipe.add_label("NEWER")
    assert pipe.cfg["label_weights"] == [1.0, 1.0, 3.0, 1.0]


@every_head
@pytest.mark.parametrize("label", ["", None, 3])
def test_what_is_no_label_is_an_error_and_changes_nothing(nlp, head, label):
    pipe = nlp.get_pipe(head)
    before = pipe.to_bytes(exclude=["vocab"])
    with pytest.raises(SettingError, match="label"):
        pipe.add_label(label)
    assert pipe.to_bytes(exclude=["vocab"]) == before


def test_a_label_that_the_head_never_predicts(nlp):
    tagger = nlp.get_pipe("bert_tagger")
    tagger.model.attrs["never"] = ["LONG"]
    tagger.cfg["labels"] = ["SHORT"]
    with pytest.raises(SettingError, match="never predicts"):
        tagger.add_label("LONG")
    assert tagger.labels == ("SHORT",)
