"""Folds: the same text is never in two of them, and each document is held out once."""

from __future__ import annotations

from collections import Counter

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.util import registry

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.training.folds import assign_folds

TEXTS = [f"text {number % 7}" for number in range(10)]


@given(st.lists(st.text(max_size=3), min_size=1, max_size=40), st.integers(2, 5), st.integers(0, 3))
def test_same_texts_are_together_and_folds_are_equally_large(texts, n_folds, seed):
    if len(set(texts)) < n_folds:
        with pytest.raises(DataError, match="different texts"):
            assign_folds(texts, n_folds, seed)
        return
    fold_by_text = dict(zip(texts, assign_folds(texts, n_folds, seed).tolist(), strict=True))
    assert [fold_by_text[text] for text in texts] == assign_folds(texts, n_folds, seed).tolist()
    sizes = Counter(fold_by_text.values())
    assert sorted(sizes) == list(range(n_folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_another_seed_divides_in_another_way():
    texts = [str(number) for number in range(100)]
    first, again, other = (assign_folds(texts, 4, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.fixture
def corpus(tmp_path):
    nlp = spacy.blank("en")
    DocBin(docs=[nlp.make_doc(text) for text in TEXTS]).to_disk(tmp_path / "corpus.spacy")
    return {"@readers": "spacy.Corpus.v1", "path": str(tmp_path / "corpus.spacy"), "gold_preproc": False}


def read(section: dict) -> list[str]:
    reader = registry.resolve({"corpus": section})["corpus"]
    return [example.reference.text for example in reader(spacy.blank("en"))]


def test_each_document_is_held_out_once(corpus):
    fold = {"@readers": "spacy-bertft.FoldCorpus.v1", "corpus": corpus, "n_folds": 3}
    parts = [[read({**fold, "fold": k, "is_held_out": held}) for held in (True, False)] for k in range(3)]
    assert sorted(text for held_out, _ in parts for text in held_out) == sorted(TEXTS)
    for held_out, others in parts:
        assert sorted(held_out + others) == sorted(TEXTS)
        assert not set(held_out) & set(others)
        assert others == [text for text in TEXTS if text in others]  # in their order


def test_two_corpora_one_after_the_other(corpus):
    assert read({"@readers": "spacy-bertft.ConcatenatedCorpus.v1", "first": corpus, "second": corpus}) == TEXTS * 2


@pytest.mark.parametrize(("n_folds", "fold"), [(1, 0), (3, 3), (3, -1)])
def test_a_fold_that_there_is_not(corpus, n_folds, fold):
    section = {"@readers": "spacy-bertft.FoldCorpus.v1", "corpus": corpus, "n_folds": n_folds, "fold": fold}
    with pytest.raises(SettingError, match=r"n_folds|fold"):
        read({**section, "is_held_out": True})
