"""Kept states: the same answers, and no second pass."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import TEXTS, make_sentences
from spacy.tokens import Doc

from spacy_bertft.data.pairs import make_pair
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.states import EncodedDocs, StateCache, join_docs, take_docs
from spacy_bertft.models.heads.losses import TokenGradient
from spacy_bertft.models.heads.text import build_text_classifier
from spacy_bertft.models.heads.token import build_token_classifier
from spacy_bertft.tags.forward_backward import build_free_chain
from spacy_bertft.training.optimizer import configure_adamw

nlp = spacy.blank("en")
LONG = " ".join(TEXTS)  # of several windows
WIDTH = 32


def make_docs():
    """Single texts, pairs, empty ones and duplicates, in mixed order."""
    docs = [nlp.make_doc(text) for text in ["", *TEXTS, LONG, " \n ", TEXTS[0], "", *make_sentences(5)]]
    return [*docs, make_pair(nlp, TEXTS[0], TEXTS[1]), make_pair(nlp, "a", "b"), make_pair(nlp, "a", "b"), *docs[:3]]


def build(folder, pooling="mean", seed=0, **settings):
    settings = {"precision": "fp32", "frozen_layers": "all", **settings}
    model = build_text_classifier(build_bert_encoder(str(folder), **settings), pooling=pooling)
    model.n_labels = 3
    torch.manual_seed(seed)
    model.initialize()
    return model


def learn(model, docs, optimizer=None):
    scores, backprop = model.begin_update(docs)
    backprop(np.ones_like(scores) * np.array([[1.0, -1.0, 0.5]]))
    if optimizer:
        model.finish_update(optimizer)
    return scores


def get_cache(model) -> StateCache | None:
    return model.encoder.shim.derived.get("states")


def count_passes(model) -> list[int]:
    """Note the windows of every pass of the encoder from now on."""
    passes: list[int] = []
    derived = model.encoder.shim.derived.values()
    for module in (model.find_source().module, *(each for each in derived if isinstance(each, torch.nn.Module))):
        module.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    return passes


# One document: tokens, of which some have a row, and the windows of each.
one = st.tuples(st.lists(st.booleans(), max_size=5), st.integers(1, 3))


def make_encoded(docs_shape) -> tuple[EncodedDocs, list[Doc]]:
    docs = [Doc(nlp.vocab, words=["a"] * len(has_row)) for has_row, _ in docs_shape]
    has_row = np.array([flag for flags, _ in docs_shape for flag in flags], dtype=bool)
    n_windows = [n for _, n in docs_shape]
    encoded = EncodedDocs(
        vectors={
            "tokens": torch.randn(int(has_row.sum()), 2),
            "token_means": torch.randn(len(has_row), 2),
            "mean": torch.randn(sum(n_windows), 2),
            "first": torch.randn(sum(n_windows), 2),
        },
        token_index=np.flatnonzero(has_row),
        token_end=np.flatnonzero(has_row) + 1,
        lengths=np.array([sum(flags) for flags, _ in docs_shape], dtype=np.intp),
        window_doc=np.repeat(np.arange(len(docs)), n_windows),
        window_lengths=np.arange(sum(n_windows)),
    )
    return encoded, docs


def check_same(left: EncodedDocs, right: EncodedDocs) -> None:
    for name in ("token_index", "lengths", "window_doc", "window_lengths"):
        assert getattr(left, name).tolist() == getattr(right, name).tolist()
    torch.testing.assert_close(left.vectors, right.vectors, atol=1e-5, rtol=0)


@given(st.lists(one, min_size=1, max_size=6), st.data())
def test_joining_is_the_reverse_of_splitting(docs_shape, data):
    encoded, docs = make_encoded(docs_shape)
    n_tokens = np.array([len(doc) for doc in docs], dtype=np.intp)
    parts = [take_docs(encoded, np.array([index]), n_tokens) for index in range(len(docs))]
    check_same(join_docs(parts, docs), encoded)
    order = data.draw(st.permutations(range(len(docs))))
    mixed, mixed_docs = [parts[index] for index in order], [docs[index] for index in order]
    check_same(take_docs(encoded, np.array(order), n_tokens), join_docs(mixed, mixed_docs))


@pytest.mark.parametrize("layers", ["last", "scalar_mix"])
@pytest.mark.parametrize("pooling", ["cls", "first", "mean", "max"])
def test_the_cache_changes_no_answer(checkpoint, pooling, layers):
    with_cache = build(checkpoint, pooling, layers=layers)
    without = build(checkpoint, pooling, layers=layers, cache_mb=0)
    docs = make_docs()
    order = np.random.default_rng(0)
    for _ in range(3):
        batch = [docs[index] for index in order.permutation(len(docs))[:12]]
        np.testing.assert_allclose(learn(with_cache, batch), learn(without, batch), atol=1e-5)
        np.testing.assert_allclose(with_cache.predict(docs), without.predict(docs), atol=1e-5)
    assert get_cache(without) is None


def test_the_cache_changes_no_answer_for_tokens(checkpoint):
    """The same text cut into other tokens is another document."""
    models = []
    for cache_mb in (0, 1024):
        encoder = build_bert_encoder(checkpoint, precision="fp32", frozen_layers="all", cache_mb=cache_mb)
        models.append(build_token_classifier(encoder, decoder="greedy"))
        models[-1].set_tags(["O", "B-X"], "bio")
        torch.manual_seed(0)
        models[-1].initialize()
    text = "drew barrymore"
    docs = [*make_docs(), nlp.make_doc(text), Doc(nlp.vocab, words=[text]), nlp.make_doc(text)]
    for batch in (docs, docs[::-1], docs[5:]):
        without, with_cache = (model.begin_update(batch)[0] for model in models)
        np.testing.assert_allclose(with_cache.scores, without.scores, atol=1e-5)
        assert with_cache.token_index.tolist() == without.token_index.tolist()
        assert with_cache.lengths.tolist() == without.lengths.tolist()


def test_the_second_epoch_does_not_run_the_encoder(checkpoint):
    model, docs, optimizer = build(checkpoint), make_docs(), configure_adamw(1e-2)
    passes = count_passes(model)
    first = learn(model, docs, optimizer)
    assert 0 < sum(passes) < len(docs) + 5  # duplicates are run once
    passes.clear()
    for batch in (docs[:7], docs[7:], docs[::-1]):
        learn(model, batch, optimizer)
        model.predict(batch)
    assert passes == []
    assert np.abs(model.predict(docs) - first).max() > 1e-3


def test_an_evaluation_with_averaged_weights_of_the_head_empties_nothing(checkpoint):
    model, docs, optimizer = build(checkpoint), make_docs(), configure_adamw(1e-2, average_decay=0.9)
    for _ in range(3):
        learn(model, docs, optimizer)
    passes = count_passes(model)
    with model.use_params(optimizer.averages):
        averaged = model.predict(docs)
    learn(model, docs)
    assert passes == []
    assert np.abs(averaged - model.predict(docs)).max() > 1e-3


def test_only_what_is_new_is_run(checkpoint):
    model, docs = build(checkpoint), [nlp.make_doc(text) for text in TEXTS]
    learn(model, docs[:2])
    passes = count_passes(model)
    learn(model, docs[:3])
    assert passes == [1]


def test_the_limit_holds(checkpoint):
    model, reference, docs = build(checkpoint), build(checkpoint, cache_mb=0), make_docs()
    limit = 4 * WIDTH * 6  # six windows
    model.encoder.shim.derived["states"] = cache = StateCache(limit)
    for batch in (docs[:4], docs, docs[::-1], docs[3:9]):
        np.testing.assert_allclose(learn(model, batch), learn(reference, batch), atol=1e-5)
        np.testing.assert_allclose(model.predict(batch), reference.predict(batch), atol=1e-5)
        assert 0 < cache.n_bytes <= limit
    assert cache.n_bytes == limit
    passes = count_passes(model)
    learn(model, docs)
    assert passes


def test_prediction_alone_keeps_nothing(checkpoint):
    model = build(checkpoint)
    model.predict(make_docs())
    assert get_cache(model) is None
    learning = build(checkpoint, frozen_layers="none")
    learn(learning, make_docs())
    assert get_cache(learning) is None


def test_new_weights_empty_the_cache(checkpoint):
    model, docs = build(checkpoint), make_docs()
    learn(model, docs)
    other = build(checkpoint, seed=1)
    for parameter in other.encoder.module.parameters():
        parameter.data *= 1.5
    expected = other.predict(docs)
    model.from_bytes(other.to_bytes())
    assert get_cache(model) is None
    np.testing.assert_allclose(model.predict(docs), expected, atol=1e-5)
    learn(model, docs)
    model.initialize()
    assert get_cache(model) is None


def test_layers_that_begin_to_learn_empty_the_cache(checkpoint):
    model, docs = build(checkpoint, frozen_layers="none"), make_docs()
    bert = model.find_source().module
    bert.thaw(0)
    before = learn(model, docs)
    assert get_cache(model).n_bytes > 0
    bert.thaw(1)
    passes = count_passes(model)
    learn(model, docs, configure_adamw(1e-2))
    assert passes
    assert get_cache(model) is None
    bert.thaw(0)
    assert np.abs(model.predict(docs) - before).max() > 1e-3
    np.testing.assert_allclose(learn(model, docs), model.predict(docs), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("layers", ["last", "scalar_mix"])
def test_states_that_were_kept_by_prediction_can_be_learned_from(checkpoint, layers, precision):
    """As after an evaluation in the course of training, which runs in torch's inference mode."""
    model, docs = build(checkpoint, layers=layers, precision=precision), make_docs()
    learn(model, docs[:1])
    model.predict(docs)
    passes = count_passes(model)
    for batch in ([docs[1]], docs):
        learn(model, batch, configure_adamw(1e-2))
    assert passes == []


def test_a_head_for_tokens_learns_from_states_that_prediction_kept(checkpoint):
    encoder = build_bert_encoder(checkpoint, precision="fp32", frozen_layers="all")
    model = build_token_classifier(encoder, decoder="greedy", dropout=0.0)
    model.set_tags(["O", "B-X"], "bio")
    model.initialize()
    docs = [nlp.make_doc(text) for text in TEXTS]
    model.begin_update(docs[:1])
    model.predict(docs)
    answer, backprop = model.begin_update(docs)
    backprop(TokenGradient(answer.scores, build_free_chain(2)))
    assert model.module.linear.weight.grad.abs().sum() > 0
