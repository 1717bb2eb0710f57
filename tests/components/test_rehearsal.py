"""Rehearsal: what a component predicted when training was resumed is what it learns to predict again."""

from __future__ import annotations

import pytest
import spacy
import torch
from all_heads import HEADS
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example

from spacy_bertft.training.optimizer import configure_adamw

every_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def nlp(all_heads) -> Language:
    return all_heads


def make_raw(nlp: Language) -> list[Example]:
    """Make examples without gold annotation."""
    return [Example.from_dict(nlp.make_doc(text), {}) for text in TEXTS]


def disturb(pipe, n_outputs: int | None = None) -> None:
    """Change the weights of a head, as training on something else might."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in pipe.model.module.parameters():
            parameter[:n_outputs] += torch.randn(parameter[:n_outputs].shape, generator=generator) * 0.3
    pipe.model.shim.mark_changed()


def read_weights(model) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.module.state_dict().values()]


@every_head
def test_nothing_is_to_be_learned_at_first(nlp, head):
    nlp.resume_training()
    pipe = nlp.get_pipe(head)
    assert pipe.rehearse(make_raw(nlp))[head] == pytest.approx(0, abs=1e-6)
    assert max(float(each.grad.abs().max()) for each in pipe.model.module.parameters() if each.grad is not None) < 1e-4


@pytest.mark.everyday(2)
@every_head
def test_what_was_forgotten_is_learned_again(nlp, head):
    nlp.resume_training()
    disturb(nlp.get_pipe(head))
    others = [name for name in nlp.pipe_names if name not in (head, "bert_encoder")]
    losses = [nlp.rehearse(make_raw(nlp), sgd=configure_adamw(5e-4), exclude=others)[head] for _ in range(6)]
    assert 0 < losses[-1] < 0.8 * losses[0]


@every_head
def test_labels_that_were_added_later_are_left_alone(nlp, head):
    nlp.resume_training()
    pipe = nlp.get_pipe(head)
    n_outputs = pipe.model.get_dim("nO")
    pipe.add_label("NEW")
    pipe.model.module.linear.bias.data[n_outputs:] = 5.0  # as if it were learned well
    assert pipe.rehearse(make_raw(nlp))[head] == pytest.approx(0, abs=1e-6)
    disturb(pipe, n_outputs)
    pipe.rehearse(make_raw(nlp))
    gradient = pipe.model.module.linear.bias.grad
    assert gradient[:n_outputs].abs().max() > 1e-3
    assert gradient[n_outputs:].abs().max() == 0


def test_two_passes_of_a_consistent_head(checkpoint):
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32"}
    nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder, "consistency": 1.0}}).add_label("X")
    nlp.initialize()
    nlp.resume_training()
    assert nlp.get_pipe("bert_ner").rehearse(make_raw(nlp))["bert_ner"] < 0.01


def test_a_shared_encoder_learns_too_unless_it_is_disabled(nlp):
    optimizer = nlp.resume_training()
    encoder, head = nlp.get_pipe("bert_encoder"), nlp.get_pipe("bert_tagger")
    disturb(head)
    before = read_weights(encoder.model)
    with nlp.select_pipes(disable=["bert_encoder"]):
        nlp.rehearse(make_raw(nlp), sgd=optimizer)
    assert all(map(torch.equal, before, read_weights(encoder.model)))
    head.rehearse(make_raw(nlp), sgd=optimizer)
    assert not all(map(torch.equal, before, read_weights(encoder.model)))
    # The copy from which the heads learn is one, and did not learn.
    tutors = {id(nlp.get_pipe(each)._rehearsal_model.encoder.states) for each in HEADS[1:]}
    assert len(tutors) == 1
    assert all(map(torch.equal, before, read_weights(head._rehearsal_model.encoder.find_source())))


def test_rehearsal_between_updates_of_a_shared_encoder(nlp):
    """As spaCy's documentation does: an update with labels, then raw texts."""
    optimizer = nlp.resume_training()
    gold = {"entities": [], "tags": ["LONG"]}
    example = Example.from_dict(nlp.make_doc("plot"), gold)
    for _ in range(2):
        updated, rehearsed = nlp.update([example], sgd=optimizer), nlp.rehearse(make_raw(nlp), sgd=optimizer)
    assert set(updated) == {*HEADS, "bert_encoder"}
    assert set(rehearsed) == set(HEADS)
    nlp.evaluate([example])


def test_without_resumed_training_it_does_nothing_and_says_so_once(nlp):
    pipe = nlp.get_pipe("bert_ner")
    before = read_weights(pipe.model)
    with pytest.warns(UserWarning, match="resume_training"):
        assert pipe.rehearse(make_raw(nlp), sgd=configure_adamw(1e-3)) == {"bert_ner": 0.0}
    pipe.rehearse(make_raw(nlp))
    assert all(map(torch.equal, before, read_weights(pipe.model)))


def test_texts_without_tokens(nlp):
    nlp.resume_training()
    assert nlp.rehearse([Example.from_dict(nlp.make_doc(""), {})]) == dict.fromkeys(HEADS, 0.0)


def test_a_pipeline_that_rehearses_is_stored_without_its_copy(nlp, tmp_path):
    nlp.to_disk(tmp_path / "before")
    nlp.resume_training()
    nlp.to_disk(tmp_path / "after")
    sizes = [sum(each.stat().st_size for each in (tmp_path / name).rglob("*")) for name in ("before", "after")]
    assert sizes[0] == sizes[1]
