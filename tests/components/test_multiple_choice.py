"""`bert_multiple_choice`: it learns, is stored, shares an encoder, and refuses what is no choice."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from choice_pipelines import CHOICES, RIGHT, make_choosing, make_examples, make_gold
from every_class import make_model, save_model
from small_checkpoints import TEXTS, make_word_level
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from taught_pipelines import SHARED
from thinc.api import fix_random_seed

from spacy_bertft.components.calibration import calibrate
from spacy_bertft.data.endings import make_choice
from spacy_bertft.errors import DataError, UnsupportedError
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.training.optimizer import configure_adamw


def choose(nlp) -> list[int]:
    return [doc._.choice for doc in nlp.pipe(make_choice(nlp, *choice[:2]) for choice in CHOICES)]


@pytest.fixture(scope="module")
def taught(checkpoint):
    return make_choosing(checkpoint, n_steps=40)


def test_it_chooses_what_it_was_taught(taught):
    assert choose(taught) == RIGHT
    for prompt, endings, right in CHOICES:
        doc = taught("\x1f".join([prompt, *endings]))
        assert list(doc.cats) == [str(position) for position in range(len(endings))]
        assert sum(doc.cats.values()) == pytest.approx(1)
        assert doc.cats[str(right)] > 0.9
    assert taught.make_doc(doc.text)._.choice is None
    scores = taught.evaluate(make_examples(taught))
    assert (scores["choice_acc"], scores["choice_support"]) == (1.0, 4)
    assert scores["choice_calibration_error"] < 0.1
    wrong = [*CHOICES[:3], (*CHOICES[3][:2], 0), (*CHOICES[0][:2], None)]
    assert taught.evaluate(make_examples(taught, wrong))["choice_acc"] == 3 / 4
    assert taught.evaluate(make_examples(taught, wrong[4:]))["choice_acc"] is None


def test_a_document_is_scored_alone_as_in_a_batch_and_by_other_poolings(checkpoint):
    for pooling in ("cls", "mean", "max"):
        nlp = make_choosing(checkpoint, pooling=pooling)
        docs = [make_choice(nlp, *choice[:2]) for choice in CHOICES]
        model = nlp.get_pipe("bert_multiple_choice").model
        together = model.predict(docs)
        for doc, row, (_, endings, _) in zip(docs, together, CHOICES, strict=True):
            np.testing.assert_allclose(model.predict([doc]), row[None, : len(endings)], atol=1e-5)
            assert row[len(endings) :].tolist() == [np.float32(-1e9)] * (4 - len(endings))
    assert model.predict([]).shape == (0, 0)


def test_a_step_is_that_of_transformers(tmp_path):
    """The loss, and the gradients that reach head and encoder, are those of BertForMultipleChoice."""
    reference = make_model("bert", "choice", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    import_hf(str(save_model(reference, tmp_path / "hf")), tmp_path / "pipeline")
    settings = {"model": {"dropout": 0.0, "encoder": {"precision": "fp32"}}}
    nlp = spacy.load(tmp_path / "pipeline", config={"components": {"choice": settings}})
    pipe = nlp.get_pipe("choice")
    choices = [("a b c", ["d e f g", "h", "k l"], 2), ("m", ["k", "a b", "c d e"], 0)]
    examples = make_examples(nlp, choices)
    scores, backprop = pipe.model.begin_update([example.predicted for example in examples])
    loss, gradient = pipe.get_loss(examples, scores)
    backprop(gradient)

    rows = [[make_word_level().encode(prompt, each) for each in endings] for prompt, endings, _ in choices]
    width = max(len(each) for row in rows for each in row)
    inputs = {
        name: torch.tensor([[getattr(each, of) + [0] * (width - len(each)) for each in row] for row in rows])
        for name, of in (("input_ids", "ids"), ("token_type_ids", "type_ids"), ("attention_mask", "attention_mask"))
    }
    output = reference(**inputs, labels=torch.tensor([2, 0]))
    output.loss.backward()
    assert loss == pytest.approx(output.loss.item(), abs=1e-5)
    np.testing.assert_allclose(scores, output.logits.detach(), atol=1e-5)
    ours = {name: each.grad for name, each in pipe.model.module.named_parameters()}
    np.testing.assert_allclose(ours["linear.weight"], reference.classifier.weight.grad, atol=1e-5)
    np.testing.assert_allclose(ours["pooler.weight"], reference.bert.pooler.dense.weight.grad, atol=1e-5)
    encoder = dict(pipe.encoder.module.bert.named_parameters())
    name = "encoder.layer.0.attention.self.query.weight"
    np.testing.assert_allclose(encoder[name].grad, dict(reference.bert.named_parameters())[name].grad, atol=1e-5)


def test_it_is_stored_and_loaded_over_other_weights(taught, checkpoint, tmp_path):
    other = make_choosing(checkpoint, 1)
    other.get_pipe("bert_multiple_choice").from_bytes(taught.get_pipe("bert_multiple_choice").to_bytes())
    taught.to_disk(tmp_path / "pipeline")
    texts = ["\x1f".join([prompt, *endings]) for prompt, endings, _ in CHOICES]
    expected = [doc.cats for doc in taught.pipe(texts)]
    for nlp in (other, spacy.load(tmp_path / "pipeline")):
        assert [doc.cats for doc in nlp.pipe(texts)] == expected
    stored = DocBin(docs=taught.pipe(texts)).to_bytes()
    docs = list(DocBin(store_user_data=True).from_bytes(stored).get_docs(taught.vocab))
    assert [doc.text for doc in docs] == texts
    assert [doc._.choice for doc in docs] == RIGHT
    assert [doc.cats for doc in (Doc(taught.vocab).from_bytes(each.to_bytes()) for each in docs)] == expected


def test_training_from_a_file_and_a_temperature_from_development_data(checkpoint, tmp_path):
    nlp = make_choosing(checkpoint)
    DocBin(docs=[each.reference for each in make_examples(nlp)]).to_disk(tmp_path / "choices.spacy")
    corpus, optimizer = Corpus(tmp_path / "choices.spacy"), configure_adamw(5e-3)
    for _ in range(40):
        nlp.update(list(corpus(nlp)), sgd=optimizer)
    assert choose(nlp) == RIGHT
    [data] = calibrate(nlp, make_examples(nlp, [*CHOICES, (*CHOICES[1][:2], 1), (*CHOICES[0][:2], None)])).values()
    assert data.is_correct.tolist() == [True, True, True, True, False]
    assert nlp.get_pipe("bert_multiple_choice").cfg["temperature"] > 1
    assert choose(nlp) == RIGHT


def test_it_shares_an_encoder_which_learns_from_it(checkpoint):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    nlp.add_pipe("bert_multiple_choice", config={"model": {"encoder": SHARED}})
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED}})
    examples = make_examples(nlp)
    for example, length in zip(examples, (4, 4, 3, 4), strict=True):
        example.reference.set_ents([example.reference.char_span(0, length, "FIRST", alignment_mode="expand")])
    nlp.initialize(lambda: examples)
    weights = nlp.get_pipe("bert_encoder").model.module.bert.encoder.layer[0].attention.self.query.weight
    before = weights.detach().clone()
    nlp.update(examples, sgd=configure_adamw(5e-3), exclude=["bert_ner"])
    nlp.get_pipe("bert_encoder").states.end_update()
    assert not torch.equal(weights, before)
    optimizer = configure_adamw(5e-3)
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    docs = list(nlp.pipe((example.reference.text for example in examples), batch_size=3))
    assert [doc._.choice for doc in docs] == RIGHT
    assert [[ent.text for ent in doc.ents] for doc in docs] == [["show"], ["what"], ["who"], ["find"]]
    nlp.replace_listeners("bert_encoder", "bert_multiple_choice", ["model.encoder"])
    assert [doc.cats for doc in nlp.pipe(example.reference.text for example in examples)] == [
        pytest.approx(doc.cats, abs=1e-5) for doc in docs
    ]


def test_states_of_a_frozen_encoder_are_kept(checkpoint):
    nlp = make_choosing(checkpoint, 60, encoder={"frozen_layers": "all"})
    assert nlp.get_pipe("bert_multiple_choice").model.encoder.keeps_states
    assert choose(nlp) == RIGHT


def test_what_is_no_choice_is_an_error(taught):
    pipe = taught.get_pipe("bert_multiple_choice")
    for text in (TEXTS[0], "", "who?\x1fme", "a\x1fb\x1f ", "\x1fb\x1fc"):
        with pytest.raises(DataError, match=r"is no prompt with its endings\. Expected a document of make_choice"):
            taught(text)
    for prompt, endings in (("a", ["b"]), ("a\x1fb", ["c", "d"]), ("a", ["b", " "]), ("", ["b", "c"])):
        with pytest.raises(DataError, match="Expected two endings or more"):
            make_choice(taught, prompt, endings)
    single = Example.from_dict(taught.make_doc(TEXTS[0]), {"cats": {"0": 1.0}})
    with pytest.raises(DataError, match="is no prompt with its endings"):
        taught.update([single], sgd=configure_adamw(1e-3))
    prompt, endings, _ = CHOICES[1]
    for cats in ({"0": 1.0, "1": 1.0}, {"A": 1.0}, {"0": 1.0, "2": 0.0}, {"0": 0.0}, {"0": 2.0, "1": -1.0}):
        gold = make_gold(taught, prompt, endings, None)
        gold.cats = cats
        example = Example(taught.make_doc(gold.text), gold)
        with pytest.raises(DataError, match="Expected the positions of its 2 endings, '0' to '1'"):
            pipe.get_loss([example], pipe.model.predict([example.predicted]))
    with pytest.raises(UnsupportedError, match="perhaps from predict"):
        pipe.get_loss([], pipe.predict([]))
    with pytest.raises(UnsupportedError, match="has no labels"):
        pipe.add_label("a")
    unread = make_examples(taught)[:1]
    with pytest.raises(DataError, match="has no predicted category"):
        pipe.score(unread)


def test_a_choice_without_annotation_teaches_nothing(taught):
    pipe = taught.get_pipe("bert_multiple_choice")
    examples = make_examples(taught, [CHOICES[0], (*CHOICES[1][:2], None)])
    scores = pipe.model.predict([example.predicted for example in examples])
    loss, gradient = pipe.get_loss(examples, scores)
    alone, _ = pipe.get_loss(examples[:1], scores[:1])
    assert loss == pytest.approx(alone)
    assert not gradient[1].any()
    assert not gradient[:, 3:].any()


def test_endings_that_do_not_fit_are_counted(checkpoint):
    nlp = make_choosing(checkpoint)
    pipe = nlp.get_pipe("bert_multiple_choice")
    long = " ".join(TEXTS * 3)
    with pytest.warns(UserWarning, match="a prompt with an ending does not fit one window"):
        nlp(make_choice(nlp, TEXTS[0], ["me", long, f"{long} me"]))
    assert pipe.n_truncated == 2
    nlp(make_choice(nlp, long, ["me", "who"]))
    assert pipe.n_truncated == 4


def test_it_rehearses(checkpoint):
    nlp = make_choosing(checkpoint, 5)
    nlp.resume_training()
    examples = make_examples(nlp)
    assert nlp.get_pipe("bert_multiple_choice").rehearse(examples)["bert_multiple_choice"] == pytest.approx(0, abs=0.1)
    nlp.update(examples, sgd=configure_adamw(5e-2))
    losses = [
        nlp.get_pipe("bert_multiple_choice").rehearse(examples, sgd=configure_adamw(5e-3))["bert_multiple_choice"]
        for _ in range(20)
    ]
    assert losses[-1] < losses[0]


def test_an_encoder_without_a_head_needs_annotation(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_multiple_choice", config={"model": {"encoder": {"name": checkpoint}}})
    with pytest.raises(DataError, match=r"Expected annotated examples, .* head that chooses an ending"):
        nlp.initialize(lambda: make_examples(nlp, [(*CHOICES[0][:2], None)]))


def test_positions_are_no_labels_of_texts(checkpoint):
    nlp = spacy.blank("en")
    textcat = nlp.add_pipe("bert_textcat", config={"model": {"encoder": {"name": checkpoint}}})
    film = nlp.make_doc("a film")
    film.cats = {"film": 1.0, "0": 0.0}
    assert textcat.find_labels(make_examples(nlp)) == []
    assert textcat.find_labels([*make_examples(nlp), Example(film, film)]) == ["0", "film"]
