"""`text_pair`: which texts are pairs, in training, evaluation and prediction."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from text_pipelines import make_config
from thinc.api import fix_random_seed

from spacy_bertft.checkpoints import read_head
from spacy_bertft.components.calibration import calibrate
from spacy_bertft.data.pairs import SEGMENTS, make_pair
from spacy_bertft.errors import DataError
from spacy_bertft.training.optimizer import configure_adamw

# The same words in another order: only the two texts of a pair, by their segment ids, tell the classes apart.
PAIRS = [("drew barrymore", "films", "a"), ("films", "drew barrymore", "b"), ("who", "the plot", "a")]
PAIRS += [("the plot", "who", "b")]
SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}


def make_classifier(checkpoint: str, *, is_marking: bool = True) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    if is_marking:
        nlp.add_pipe("text_pair")
    nlp.add_pipe("bert_textcat", config=make_config(checkpoint)).add_label("a")
    nlp.get_pipe("bert_textcat").add_label("b")
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a"), {"cats": {"a": 1.0, "b": 0.0}})])
    return nlp


def write_corpus(path, n_pairs: int = 4) -> Corpus:
    nlp = spacy.blank("en")
    docs = []
    for first, second, label in PAIRS[:n_pairs]:
        doc = make_pair(nlp, first, second)
        doc.cats = {"a": float(label == "a"), "b": float(label == "b")}
        docs.append(doc)
    DocBin(docs=docs).to_disk(path)
    return Corpus(path)


def test_training_evaluation_and_prediction_read_pairs(checkpoint, tmp_path):
    """spaCy's corpus reader makes the predicted documents from the texts alone."""
    corpus = write_corpus(tmp_path / "pairs.spacy")
    nlp = make_classifier(checkpoint)
    optimizer = configure_adamw(5e-3)
    for _ in range(40):
        losses = nlp.update(list(corpus(nlp)), sgd=optimizer, annotates=["text_pair"])
    assert losses["bert_textcat"] < 0.05
    assert nlp.evaluate(corpus(nlp))["cats_macro_f"] == 1.0
    assert sum(answers.n_gold for answers in calibrate(nlp, corpus(nlp)).values()) == 4
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    assert loaded.pipe_names == ["text_pair", "bert_textcat"]
    for first, second, label in PAIRS:
        for doc in (loaded(f"{first}\x1f{second}"), loaded(make_pair(loaded, first, second))):
            assert max(doc.cats, key=doc.cats.__getitem__) == label
            assert [span.text for span in doc.spans[SEGMENTS]] == [first, second]
    assert len(loaded("films drew barrymore").spans) == 0


def test_training_on_pairs_that_are_not_marked_is_an_error(checkpoint, tmp_path):
    corpus = write_corpus(tmp_path / "pairs.spacy")
    advice = "put the component text_pair first in the pipeline and, to train, in training.annotating_components"
    for is_marking in (True, False):
        nlp = make_classifier(checkpoint, is_marking=is_marking)
        before = nlp.get_pipe("bert_textcat").model.to_bytes()
        with pytest.raises(DataError, match=f"bert_textcat: the reference .* {advice}"):
            nlp.update(list(corpus(nlp)), sgd=configure_adamw(5e-3))
        assert nlp.get_pipe("bert_textcat").model.to_bytes() == before
    with pytest.raises(DataError, match=advice):
        calibrate(nlp, corpus(nlp))


def test_a_text_that_looks_like_a_pair_is_a_single_text_and_a_warning_says_so_once(checkpoint):
    nlp = make_classifier(checkpoint, is_marking=False)
    model = nlp.get_pipe("bert_textcat").model
    text = "drew barrymore \x1f films"
    with pytest.warns(
        UserWarning, match=r"bert_textcat: a text has one U\+001F, but it is not marked .* text_pair first"
    ):
        nlp(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp(text)
        make_classifier(checkpoint)(text)
    as_single, alike = (model.predict([nlp.make_doc(each)]) for each in (text, text.replace("\x1f", " ")))
    np.testing.assert_allclose(as_single, alike, atol=1e-5)
    assert np.abs(as_single - model.predict([make_pair(nlp, "drew barrymore", "films")])).max() > 1e-3


def test_a_pair_without_words_on_one_side_is_told(checkpoint):
    nlp = make_classifier(checkpoint)
    with pytest.warns(UserWarning, match="or has no words on one side, so it is read as a single text"):
        nlp("drew barrymore\x1f ")


def test_pairs_that_are_cut_are_counted_and_told_once(checkpoint):
    nlp = make_classifier(checkpoint)
    pipe = nlp.get_pipe("bert_textcat")
    fitting, long = "drew\x1fbill", f"drew\x1f{'films ' * 100}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(nlp.pipe([fitting, "films " * 100]))  # a single text has windows
    assert pipe.n_truncated == 0
    with pytest.warns(UserWarning, match="bert_textcat: a pair of texts does not fit .* counted in n_truncated"):
        list(nlp.pipe([fitting, long, long]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp(long)
        nlp.update([Example.from_dict(nlp(long), {"cats": {"a": 1.0, "b": 0.0}})], sgd=configure_adamw(1e-4))
    assert pipe.n_truncated == 5


def test_a_cut_pair_in_training_is_told_too(checkpoint):
    nlp = make_classifier(checkpoint)
    example = Example.from_dict(make_pair(nlp, "drew", "films " * 100), {"cats": {"a": 1.0, "b": 0.0}})
    with pytest.warns(UserWarning, match="does not fit one window"):
        nlp.update([example])
    assert nlp.get_pipe("bert_textcat").n_truncated == 1


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> str:
    """A checkpoint with a head that finds something in every text."""
    names = {"id2label": dict(enumerate(["O", "B-X", "I-X"]))}
    return str(make_checkpoint(tmp_path_factory.mktemp("head"), "bert", 3, **names))


def add_ner(nlp: Language, head: str, encoder: dict | None = None) -> None:
    model = {"decoder": "viterbi", "encoder": encoder or {"name": head, "precision": "fp32"}}
    pipe = nlp.add_pipe("bert_ner", config={"model": model})
    pipe.take_head(read_head(head, "token"))


def make_ner(head: str) -> Language:
    nlp = spacy.blank("en")
    add_ner(nlp, head)
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a"), {})])
    return nlp


def read(doc: Doc) -> list[tuple[int, int]]:
    return [(ent.start_char, ent.end_char) for ent in doc.ents]


def test_a_unit_separator_in_a_text_loses_no_entity(head):
    """Before, the whole text was a pair, cut to one window: 480 entities became 186."""
    nlp = make_ner(head)
    text = " ".join(TEXTS * 40)
    middle = text.index(" ", len(text) // 2)
    plain, odd = (f"{text[:middle]} {char} {text[middle + 1 :]}" for char in " \x1f")
    expected = read(nlp(plain))
    assert len(expected) > 100
    assert expected[-1][1] > len(text) - 200
    assert read(nlp(odd)) == expected


@pytest.mark.parametrize("n_words", [3, 300])
def test_every_token_of_a_pair_is_tagged(head, n_words):
    """Short pairs are one window; of long ones each text has windows of its own, as if it stood alone."""
    nlp = make_ner(head)
    ner = nlp.get_pipe("bert_ner")
    first, second = (" ".join((TEXTS[index] + " ").split() * 40)[: 6 * n_words] for index in (0, 3))
    doc = make_pair(nlp, first, second)
    scores = ner.score_tokens([doc])
    assert scores.token_index.tolist() == [token.i for token in doc if not token.is_space]
    if n_words == 300:
        alone = [ner.score_tokens([nlp.make_doc(text)]).scores for text in (first, second)]
        np.testing.assert_allclose(scores.scores, np.concatenate(alone), atol=1e-5)


def test_heads_that_share_an_encoder_read_a_long_pair_as_each_does_alone(head):
    """The entities are in windows over both texts, and the categories of the pair that is cut."""

    def make(*names: str) -> Language:
        fix_random_seed(0)
        nlp = spacy.blank("en")
        nlp.add_pipe("bert_encoder", config={"model": {"name": head, "precision": "fp32"}})
        if "bert_ner" in names:
            add_ner(nlp, head, SHARED)
        if "bert_textcat" in names:
            pipe = nlp.add_pipe("bert_textcat", config={"model": {"pooling": "mean", "encoder": SHARED}})
            pipe.add_label("a")
            pipe.add_label("b")
        nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a"), {"cats": {"a": 1.0, "b": 0.0}})])
        return nlp

    both, ner, textcat = make("bert_ner", "bert_textcat"), make("bert_ner"), make("bert_textcat")
    textcat.get_pipe("bert_textcat").from_bytes(both.get_pipe("bert_textcat").to_bytes())
    texts = [("who", " ".join(TEXTS * 9)), (" ".join(TEXTS * 9), "films"), ("drew barrymore", "films")]
    docs = [*(make_pair(both, *pair) for pair in texts), both.make_doc(TEXTS[0])]
    with pytest.warns(UserWarning, match="does not fit one window"):
        found = list(both.pipe(doc.copy() for doc in docs))
    with pytest.warns(UserWarning, match="does not fit one window"):
        categories = list(textcat.pipe(doc.copy() for doc in docs))
    entities = list(ner.pipe(doc.copy() for doc in docs))
    assert [read(doc) for doc in found] == [read(doc) for doc in entities]
    assert max(end for _, end in read(found[0])) > 1000
    for doc, alone in zip(found, categories, strict=True):
        assert doc.cats == pytest.approx(alone.cats, abs=1e-5)
    assert both.get_pipe("bert_textcat").n_truncated == 2


def test_a_trained_head_for_tokens_learns_from_long_pairs(head):
    """Every token has a row in the gradient, beyond the first window too."""
    nlp = make_ner(head)
    ner = nlp.get_pipe("bert_ner")
    doc = make_pair(nlp, " ".join(TEXTS * 5), " ".join(TEXTS * 5))
    example = Example.from_dict(doc, {"entities": [(0, 4, "X"), (len(doc.text) - 6, len(doc.text), "X")]})
    scores, _ = ner.model.begin_update([doc])
    _, gradient = ner.get_loss([example], scores)
    assert len(gradient.scores) == sum(not token.is_space for token in doc)
    assert (np.abs(gradient.scores).sum(axis=1) > 0).all()
