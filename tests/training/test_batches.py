"""A batcher loses, repeats and overfills nothing, and a seed repeats its order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import SettingError
from spacy_bertft.training.batches import batch_by_pieces, configure_batch_by_pieces

VOCAB = spacy.blank("en").vocab


def make_examples(n_words: Iterable[int]) -> list[Example]:
    docs = [Doc(VOCAB, words=["a"] * n) for n in n_words]
    return [Example(doc, doc.copy()) for doc in docs]


def count_words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 30), st.integers(1, 8))
def test_every_example_comes_once_and_batches_fit(n_words: list[int], size: int, buffer: int) -> None:
    examples = make_examples(n_words)
    batches = list(batch_by_pieces(examples, count_words, size=size, buffer=buffer))
    assert sorted(id(example) for batch in batches for example in batch) == sorted(map(id, examples))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(len(example.predicted) for example in batch) <= size


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 8))
def test_a_buffer_is_emptied_before_the_next_is_read(n_words: list[int], buffer: int) -> None:
    examples = make_examples(n_words)
    position = {id(example): index for index, example in enumerate(examples)}
    order = [position[id(e)] for batch in batch_by_pieces(examples, count_words, size=24, buffer=buffer) for e in batch]
    assert [index // buffer for index in order] == [index // buffer for index in range(len(examples))]


def list_lengths(seed: int) -> list[list[int]]:
    random.seed(seed)
    batches = batch_by_pieces(make_examples(range(1, 40)), count_words, size=40, buffer=100)
    return [[len(example.predicted) for example in batch] for batch in batches]


def test_batches_come_in_an_order_that_a_seed_repeats() -> None:
    assert list_lengths(0) == list_lengths(0)
    assert list_lengths(0) != list_lengths(1)
    assert sorted(list_lengths(0)) == sorted(list_lengths(1))
    assert list_lengths(0) != sorted(list_lengths(0))


def test_pieces_are_those_of_the_checkpoint(checkpoint: str) -> None:
    tokenizer = read_tokenizer(checkpoint)
    texts = ["show me films", "a", "who directed the godfather", "", "me"] * 3
    docs = [spacy.blank("en")(text) for text in texts]
    batcher = configure_batch_by_pieces(checkpoint, size=40)
    batches = list(batcher(Example(doc, doc.copy()) for doc in docs))
    assert sorted(example.predicted.text for batch in batches for example in batch) == sorted(texts)
    for batch in batches:
        lengths = [n + 2 for n in tokenizer.count_pieces([example.predicted.text for example in batch])]
        assert len(batch) == 1 or len(batch) * max(lengths) <= 40
    assert len(batches) < len(texts)


def test_nothing_is_read_before_the_first_batch(tmp_path: Path) -> None:
    batcher = configure_batch_by_pieces(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        next(batcher(make_examples([1])))


@pytest.mark.parametrize("setting", ["size", "buffer"])
def test_a_size_without_room_is_an_error(setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        configure_batch_by_pieces("anywhere", **{setting: 0})
    assert (caught.value.name, caught.value.value) == (setting, 0)
