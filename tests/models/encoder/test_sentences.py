"""Windows over sentences: each is read as if it came alone."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest
import spacy
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sentence_docs import join_sentences
from small_checkpoints import TEXTS
from spacy.tokens import Doc

from spacy_bertft.data.pairs import make_pair
from spacy_bertft.data.sentences import find_sentence_starts
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.models.encoder.build import BertEncoder, build_bert_encoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.shared import SharedStates

NLP = spacy.blank("en")
OUTPUTS = ("tokens", "token_means", "first", "mean")
LONG = " ".join(TEXTS)  # of several windows
WORDS = ["who", "directed", "it", "what", "is", "the", "plot"]
sentences = st.lists(st.sampled_from([*TEXTS, LONG, "?", "a\n", " \n"]), max_size=4)


@pytest.fixture(scope="module")
def build(checkpoints):
    """Give encoders by their settings, each made once."""

    @cache
    def build(family: str, tokenize: str, windows_over: str = "text", **settings: object) -> BertEncoder:
        settings |= {"window": 24, "precision": "fp32", "tokenize": tokenize, "windows_over": windows_over}
        model = build_bert_encoder(str(checkpoints(family)), **settings)
        model.outputs.extend(OUTPUTS)
        model.initialize()
        return model

    return build


def make_doc(*starts: int) -> Doc:
    """Make a document of the same words with sentences that start at some of them."""
    return Doc(NLP.vocab, words=WORDS, sent_starts=[index in starts for index in range(len(WORDS))])


def check_same(left, right) -> None:
    torch.testing.assert_close(left.vectors, right.vectors, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(left.window_doc, right.window_doc)


@pytest.mark.everyday(2)
@pytest.mark.parametrize("tokenize", ["text", "tokens"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
@given(documents=st.lists(sentences, min_size=1, max_size=3))
@example(documents=[["a", "b"], [], [" \n", "a", " \n"]])
def test_sentences_have_the_states_that_they_have_alone(build, family, tokenize, documents):
    joined = build(family, tokenize, "sentences").predict([join_sentences(NLP, texts) for texts in documents])
    documents = [texts or [""] for texts in documents]
    alone = build(family, tokenize).predict([NLP.make_doc(text) for texts in documents for text in texts])
    for output in ("tokens", "token_means"):
        torch.testing.assert_close(joined.vectors[output], alone.vectors[output], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(joined.token_index, alone.token_index)
    np.testing.assert_array_equal(joined.token_end, alone.token_end)
    # Heads for texts read no sentence of whitespace, unless there is nothing else.
    is_read = [not text.isspace() or all(map(str.isspace, texts)) for texts in documents for text in texts]
    windows = np.array(is_read)[alone.window_doc]
    owner = np.repeat(np.arange(len(documents)), [len(texts) for texts in documents])
    np.testing.assert_array_equal(joined.window_doc, owner[alone.window_doc[windows]])
    for output in ("first", "mean"):
        torch.testing.assert_close(joined.vectors[output], alone.vectors[output][windows], atol=1e-5, rtol=0)


def test_pairs_stay_as_they_are(build):
    docs = [make_pair(NLP, TEXTS[0], TEXTS[1]), join_sentences(NLP, TEXTS[:3]), make_pair(NLP, LONG, "a")]
    model, whole = build("bert", "text", "sentences"), build("bert", "text")
    encoded, rows = model.predict(docs).vectors["tokens"], [len(doc) for doc in docs]
    alone = [*docs[:1], *map(NLP.make_doc, TEXTS[:3]), *docs[2:]]
    torch.testing.assert_close(encoded, whole.predict(alone).vectors["tokens"], atol=1e-5, rtol=0)
    assert len(encoded) == sum(rows) - 2  # U+001F has no subword token


def test_where_sentences_end_must_be_known(build):
    model = build("bert", "text", "sentences")
    model.predict([NLP.make_doc(""), NLP.make_doc("film"), make_pair(NLP, "a b", "c d")])
    for docs in (
        [NLP.make_doc(TEXTS[0])],
        [join_sentences(NLP, TEXTS[:2]), make_pair(NLP, "a b", "c"), NLP.make_doc("a b")],
    ):
        with pytest.raises(DataError, match=r"has no sentence boundaries\. Put a sentencizer or senter into"):
            model.predict(docs)
    with pytest.raises(SettingError, match="text or sentences"):
        build_bert_encoder("bert", windows_over="lines")


def test_a_hook_for_sentences_leaves_no_token_out():
    doc = make_doc()
    doc.user_hooks["sents"] = lambda doc: [doc[5:7], doc[2:4]]
    assert find_sentence_starts(doc) == (0, 2, 5)


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_kept_states_are_those_of_the_same_sentences(build, backend):
    kept = build("bert", "text", "sentences", frozen_layers="all", backend=backend)
    docs = [make_doc(0), make_doc(0, 3), make_doc(0, 3, 5), make_doc(0, 3)]
    expected = build("bert", "text", "sentences").predict(docs)
    for _ in range(2):  # the second time from the cache
        check_same(kept.begin_update(docs)[0], expected)
        check_same(kept.predict(docs), expected)


def test_a_shared_encoder_runs_again_when_sentences_change(build):
    encoder = build("bert", "text", "sentences")
    states, doc = SharedStates(encoder), make_doc(0)
    heads = [SharedEncoder("*"), SharedEncoder("*")]  # the states are kept for the second
    for head in heads:
        head.connect(states)
    check_same(states.predict([doc]), encoder.predict([make_doc(0)]))
    doc[3].is_sent_start = True
    check_same(states.predict([doc]), encoder.predict([make_doc(0, 3)]))


def test_the_setting_travels_with_the_tokenizer(build):
    tokenizer = build("bert", "tokens", "sentences").tokenizer
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert copied.by_sentence
    assert copied.by_token
