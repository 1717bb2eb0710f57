"""A head that has learned from short texts says where windows are much longer: there it is often wrong."""

from __future__ import annotations

import warnings

import pytest
import spacy
from small_checkpoints import make_checkpoint
from spacy.language import Language
from spacy.training import Example
from taught_pipelines import GOLD, make_taught_pipeline

from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.training.optimizer import configure_adamw

WARNING = "The token classifier reads 202 subword tokens in one window, and has learned from 25 at most"
OTHER = "The text classifier reads 202 subword tokens in one window, and has learned from 25 at most"
FITTING, LONG = "me " * 126, "me " * 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("short")
    checkpoint = make_checkpoint(path / "checkpoint", max_position_embeddings=256)
    make_taught_pipeline(str(checkpoint), n_steps=1).to_disk(path / "pipeline")
    return path / "pipeline"


def list_warnings(nlp: Language, *texts: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in texts:
            nlp(text)
    return [str(each.message).split(", so ")[0] for each in caught]


def test_each_head_says_it_once(folder):
    nlp = spacy.load(folder)
    assert not list_warnings(nlp, FITTING)
    assert list_warnings(nlp, LONG, LONG) == [WARNING, *[OTHER] * (len(GOLD) - 1)]


def test_shorter_windows_are_what_it_asks_for(folder):
    models = {"bert_ner": {"model": {"encoder": {"window": 25}}}, "bert_encoder": {"model": {"window": 25}}}
    assert not list_warnings(spacy.load(folder, config={"components": models}), LONG)


@pytest.mark.parametrize(("text", "n_warnings"), [("me", 1), (LONG, 0)])
def test_what_it_has_learned_from_counts_when_it_is_loaded_again(folder, tmp_path, text, n_warnings):
    nlp = spacy.load(folder, exclude=["bert_textcat", "bert_textcat_multilabel"])
    example = Example.from_dict(nlp.make_doc(text), {"entities": []})
    nlp.get_pipe("bert_ner").update([example], sgd=configure_adamw(1e-4))
    assert not list_warnings(nlp, LONG)  # while it learns, when the longest text may be still to come
    nlp.to_disk(tmp_path)
    assert len(list_warnings(spacy.load(tmp_path), LONG)) == n_warnings


def test_nothing_is_said_where_it_is_not_known_what_a_head_has_learned_from(folder, tmp_path):
    nlp = spacy.load(folder, exclude=["bert_textcat", "bert_textcat_multilabel"])
    del nlp.get_pipe("bert_ner").model.attrs["longest_learned"]  # as it was stored before
    nlp.to_disk(tmp_path)
    assert not list_warnings(spacy.load(tmp_path), LONG)


def test_nor_where_the_head_of_a_checkpoint_has_learned_elsewhere(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "checkpoint", "bert", 3, "token", max_position_embeddings=256)
    import_hf(str(checkpoint), tmp_path / "model", labels="O,B-X,I-X")
    nlp = spacy.load(tmp_path / "model")
    example = Example.from_dict(nlp.make_doc("me"), {"entities": []})
    nlp.update([example], sgd=configure_adamw(1e-4))
    nlp.to_disk(tmp_path / "model")
    assert not list_warnings(spacy.load(tmp_path / "model"), LONG)
