"""The token classifier against `BertForTokenClassification` and against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import WORDS, find_first_pieces, make_checkpoint, make_sentences, read_movie_sentences
from spacy.tokens import Doc
from thinc.api import Model
from transformers import AutoModelForTokenClassification

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import NotInitializedError, SettingError
from spacy_bertft.models.encoder.build import Encoder, build_bert_encoder
from spacy_bertft.models.encoder.states import EncodedDocs
from spacy_bertft.models.heads.token import build_token_classifier
from spacy_bertft.tags.chain import best_paths
from spacy_bertft.tags.forward_backward import build_free_chain

nlp = spacy.blank("en")
TAGS = ["O", "B-ACTOR", "I-ACTOR", "B-YEAR", "I-YEAR"]


def build(encoder: str | Model, tags=TAGS, **settings):
    if isinstance(encoder, str):
        encoder = build_bert_encoder(encoder, precision="fp32")
    model = build_token_classifier(encoder, **settings)
    model.set_tags(tags, "bio")
    model.initialize()
    return model


def make_fake_encoder(width: int = 3) -> Model[list[Doc], EncodedDocs]:
    """Give every token a vector that is worked out from its length; no gradient is asked for."""

    def forward(model, docs, is_train):
        lengths = np.array([len(doc) for doc in docs])
        sizes = torch.tensor([float(len(token)) for doc in docs for token in doc]).reshape(-1, 1)
        vectors = torch.cat([sizes**power for power in range(width)], dim=1)
        received = []
        encoded = EncodedDocs(
            {"tokens": vectors},
            np.arange(len(vectors)),
            np.arange(len(vectors)) + 1,
            lengths,
            np.arange(len(docs)),
            lengths,
        )
        return encoded, lambda gradient: received.append(gradient) or [gradient]

    return Encoder("fake", forward, width=width)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """A random `BertForTokenClassification`, ours with the same weights, and 200 sentences that people might say."""
    folder = tmp_path_factory.mktemp("tagged")
    make_checkpoint(folder, n_labels=len(TAGS), max_position_embeddings=256)
    theirs = AutoModelForTokenClassification.from_pretrained(folder).eval()
    ours = build(str(folder), decoder="viterbi")
    docs = [nlp.make_doc(text) for text in read_movie_sentences(200)]
    head = ours.module.linear
    head.load_state_dict(theirs.classifier.state_dict())
    with torch.no_grad():
        # A random head prefers one tag everywhere; without that preference all of them occur.
        theirs.classifier.bias -= torch.from_numpy(ours.predict(docs).scores.mean(axis=0))
    head.load_state_dict(theirs.classifier.state_dict())
    return ours, theirs, read_tokenizer(str(folder)), docs


def test_logits_are_those_of_transformers(tagged):
    ours, theirs, tokenizer, docs = tagged
    together = ours.predict(docs)
    row = 0
    for doc, length in zip(docs, together.lengths.tolist(), strict=True):
        pieces = tokenizer.encode([doc.text])
        ids = [*tokenizer.prefix_ids, *pieces.ids.tolist(), *tokenizer.suffix_ids]
        with torch.no_grad():
            logits = theirs(torch.tensor([ids])).logits[0].numpy()
        first = [piece + 1 for piece in find_first_pieces(pieces, doc)]
        np.testing.assert_allclose(together.scores[row : row + length], logits[first], atol=1e-5)
        np.testing.assert_allclose(ours.predict([doc]).scores, logits[first], atol=1e-5)
        row += length
    assert row == len(together.scores) > 1500


def test_the_best_path_is_the_maximum_wherever_that_is_legal(tagged):
    ours, _, _, docs = tagged
    answer, grammar = ours.predict(docs), ours.grammar
    path = best_paths(answer.scores, answer.lengths, answer.chain)
    greedy = answer.scores.argmax(axis=1)
    n_legal, row = 0, 0
    for length in answer.lengths.tolist():
        tags, best = greedy[row : row + length], path[row : row + length]
        row += length
        is_legal = grammar.may_start[tags[0]] and grammar.may_follow[tags[:-1], tags[1:]].all()
        assert grammar.may_start[best[0]]
        assert grammar.may_follow[best[:-1], best[1:]].all()
        assert not is_legal or (tags == best).all()
        n_legal += is_legal
    assert 0 < n_legal < len(docs)


@pytest.mark.parametrize("decoder", ["crf", "viterbi", "greedy"])
def test_gradients_are_those_of_autograd(decoder):
    encoder = make_fake_encoder()
    model = build(encoder, decoder=decoder, dropout=0.0)
    head = model.module
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    docs = [nlp.make_doc(text) for text in make_sentences(3)]
    answer, backprop = model.begin_update(docs)
    rng = np.random.default_rng(0)
    gold = np.where(rng.random(len(answer.scores)) < 0.3, 1, 0)
    allowed = np.eye(len(TAGS), dtype=bool)[gold]
    loss, gradient = answer.compute_loss(allowed)
    [to_encoder] = backprop(gradient)

    def compute_loss() -> float:
        again, _ = model.begin_update(docs)
        return again.compute_loss(allowed)[0]

    assert compute_loss() == pytest.approx(loss)
    for parameter in head.parameters():
        if parameter.grad is None:
            continue
        index = tuple(int(rng.integers(size)) for size in parameter.shape)
        with torch.no_grad():
            parameter[index] += 1e-2
            above = compute_loss()
            parameter[index] -= 2e-2
            below = compute_loss()
            parameter[index] += 1e-2
        assert parameter.grad[index].item() == pytest.approx((above - below) / 2e-2, rel=0.02, abs=2e-3)
    assert to_encoder["tokens"].shape == (len(answer.scores), 3)
    assert to_encoder["tokens"].abs().sum() > 0


def test_the_loss_of_a_head_without_chain_is_cross_entropy():
    model = build(make_fake_encoder(), decoder="viterbi", dropout=0.0)
    answer, _ = model.begin_update([nlp.make_doc("drew barrymore in the 1980s")])
    gold = np.array([1, 2, 0, 0, 3])
    loss, _ = answer.compute_loss(np.eye(len(TAGS), dtype=bool)[gold])
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(answer.scores), torch.from_numpy(gold))
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_array_equal(answer.training_chain.transitions, build_free_chain(len(TAGS)).transitions)


def test_dropout_follows_the_update_unless_it_is_set():
    from thinc.api import set_dropout_rate

    docs = [nlp.make_doc(" ".join(WORDS))]
    for dropout, drop, is_random in [(None, 0.5, True), (None, 0.0, False), (0.0, 0.5, False), (0.5, 0.0, True)]:
        model = build(make_fake_encoder(), dropout=dropout)
        set_dropout_rate(model, drop)
        first, second = (model.begin_update(docs)[0].scores for _ in range(2))
        assert (not np.array_equal(first, second)) == is_random
        np.testing.assert_array_equal(model.predict(docs).scores, model.predict(docs).scores)


def test_the_head_learns_faster_by_its_factor(checkpoint):
    from spacy_bertft.training.optimizer import configure_adamw

    model = build(checkpoint, head_lr_scale=10.0)
    docs = [nlp.make_doc(text) for text in make_sentences(4)]
    head = model.module
    before = head.linear.weight.detach().clone()
    answer, backprop = model.begin_update(docs)
    allowed = np.eye(len(TAGS), dtype=bool)[np.zeros(len(answer.scores), dtype=int)]
    backprop(answer.compute_loss(allowed)[1])
    model.finish_update(configure_adamw(1e-4, weight_decay=0.0))
    assert (head.linear.weight - before).abs().median().item() == pytest.approx(1e-3, rel=0.01)


def test_a_head_learns_over_a_frozen_encoder(checkpoint):
    from spacy_bertft.training.optimizer import configure_adamw

    torch.manual_seed(0)
    model = build(build_bert_encoder(checkpoint, frozen_layers="all"))
    docs = [nlp.make_doc(text) for text in make_sentences(4)]
    optimizer, losses = configure_adamw(1e-2), []
    for _ in range(5):
        answer, backprop = model.begin_update(docs)
        allowed = np.eye(len(TAGS), dtype=bool)[np.ones(len(answer.scores), dtype=int)]
        loss, gradient = answer.compute_loss(allowed)
        backprop(gradient)
        model.finish_update(optimizer)
        losses.append(loss)
    assert losses == sorted(losses, reverse=True)


def test_bytes_round_trip(checkpoint):
    model = build(checkpoint)
    docs = [nlp.make_doc(text) for text in make_sentences(10)]
    expected = model.predict(docs)
    torch.manual_seed(1)
    other = build(checkpoint)
    assert not np.allclose(other.predict(docs).scores, expected.scores)
    other.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(other.predict(docs).scores, expected.scores)
    fresh = build_token_classifier(build_bert_encoder("/not/needed/any/more", precision="fp32"))
    fresh.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(fresh.predict(docs).scores, expected.scores)
    np.testing.assert_array_equal(model.copy().predict(docs).scores, expected.scores)
    assert fresh.to_bytes() == model.to_bytes()


def test_errors():
    with pytest.raises(NotInitializedError, match="no tags"):
        build_token_classifier(make_fake_encoder()).initialize()
    for setting, value in [
        ("decoder", "beam"),
        ("dropout", 1.0),
        ("head_lr_scale", 0.0),
        ("token_loss", -1.0),
        ("label_smoothing", 0.1),
    ]:
        with pytest.raises(SettingError) as raised:
            build_token_classifier(make_fake_encoder(), **{setting: value})
        assert raised.value.name == setting
