"""Joining loses and repeats nothing."""

from __future__ import annotations

import random

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.training import Example

from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import SettingError
from spacy_bertft.training.batches import configure_batch_by_pieces, join_examples

NLP = spacy.blank("en")


def make_example(index: int, n_words: int, *, has_cats: bool = False) -> Example:
    words = [f"n{index}", *["don't"] * n_words]
    gold: dict[str, object] = {
        "words": words,
        "spaces": [True] * n_words + [False],
        "entities": [(0, len(words[0]), "X")],
    }
    return Example.from_dict(NLP.make_doc(" ".join(words)), gold | ({"cats": {"A": 1.0}} if has_cats else {}))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12), st.integers(1, 40), st.integers(0, 9))
def test_every_example_is_there_once(sizes: list[tuple[int, bool]], n_words: int, seed: int) -> None:
    random.seed(seed)
    drawn = [make_example(index, size, has_cats=has_cats) for index, (size, has_cats) in enumerate(sizes)]
    joined = list(join_examples(drawn, level=0.7, n_words=n_words))
    for side in ("predicted", "reference"):
        words = [token.text for example in joined for token in getattr(example, side) if token.text[0] == "n"]
        assert sorted(word for word in words if word != "n't") == sorted(f"n{index}" for index in range(len(drawn)))
        n_tokens = sum(len(getattr(example, side)) for example in joined)
        assert n_tokens == sum(len(getattr(example, side)) for example in drawn)
    for example in joined:
        assert example.predicted.text == example.reference.text
        assert len(example.predicted) <= n_words or example in drawn
        assert example in drawn or not example.reference.cats
    assert sum(len(example.reference.ents) for example in joined) == len(drawn)
    assert all(example in joined for example in drawn if example.reference.cats)


def test_pairs_of_texts_stay_by_themselves() -> None:
    pairs = [make_pair(NLP, "who directed it", f"ford did {number}") for number in range(4)]
    drawn = [Example(pair, pair.copy()) for pair in pairs]
    assert list(join_examples(drawn, level=1.0, n_words=100)) == drawn


def test_all_may_be_joined() -> None:
    random.seed(1)
    joined = list(join_examples([make_example(index, 3) for index in range(40)], level=1.0, n_words=100))
    assert len(joined) < 15
    assert max(len(example.predicted) for example in joined) > 50
    assert joined[0].text.startswith("n0 don't don't don't n1 ")


def test_a_batcher_joins_and_swaps(checkpoint: str) -> None:
    random.seed(0)
    augmenter = spacy.registry.resolve({"x": {"@augmenters": "spacy-bertft.swap_entities.v1", "level": 1.0}})["x"]
    batcher = configure_batch_by_pieces(checkpoint, size=200, augmenter=augmenter, join_level=1.0, join_words=30)
    drawn = [make_example(index, 2) for index in range(30)]
    epochs = [[example for batch in batcher(drawn) for example in batch] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) < 25
        assert sum(len(example.reference.ents) for example in epoch) == 30
    assert {example.text for example in epochs[0]} != {example.text for example in epochs[1]}


@pytest.mark.parametrize(("setting", "value"), [("join_level", 1.5), ("join_words", 0)])
def test_settings(checkpoint: str, setting: str, value: float) -> None:
    with pytest.raises(SettingError) as caught:
        configure_batch_by_pieces(checkpoint, **{setting: value})
    assert caught.value.name == setting


def test_documents_without_a_group_of_spans_are_not_joined_to_those_with_one() -> None:
    """What has no group is not annotated."""
    drawn = [make_example(index, 1) for index in range(12)]
    for example in drawn[:6]:
        example.reference.spans["sc"] = []
    joined = list(join_examples(drawn, level=1.0, n_words=1000))
    assert {tuple(example.reference.spans) for example in joined} == {("sc",), ()}
    n_tokens = sum(len(example.reference) for example in joined if "sc" in example.reference.spans)
    assert n_tokens == sum(len(example.reference) for example in drawn[:6])
