"""Swapped examples stay valid, keep what is known of them, and hold only entities that were seen before."""

from __future__ import annotations

import random

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example

from spacy_bertft.errors import SettingError
from spacy_bertft.training.swap_entities import SwapEntities, configure_swap_entities

NLP = spacy.blank("en")
WORDS = st.sampled_from(["drew", "barrymore", "don't", "U.S.", "ça", "x", "1980s", "(", "\u00a0"])


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Draw a document with entities, gaps in what is known, and a predicted side cut by spaCy's tokenizer."""
    words = draw(st.lists(WORDS, min_size=1, max_size=8))
    spaces = [draw(st.booleans()) for _ in words]
    tags: list[str | None] = []
    for _ in words:
        before = (tags[-1] if tags else None) or "O"
        labels = ["B-X", "B-Y", "O", None, *([f"I{before[1:]}"] if before != "O" else [])]
        tags.append(draw(st.sampled_from(labels)))
    reference = Doc(NLP.vocab, words=words, spaces=spaces, ents=tags)
    reference.cats = {"A": 1.0}
    return Example(NLP.make_doc(reference.text), reference)


def list_parts(doc: Doc) -> list[tuple[str, str]]:
    """List entities by their label, and the words outside with what is known of them, in order."""
    parts = []
    for token in doc:
        if token.ent_iob_ == "B":
            parts.append(("entity", token.ent_type_))
        elif token.ent_iob_ != "I":
            parts.append((token.text, token.ent_iob_))
    return parts


@given(st.lists(examples(), min_size=1, max_size=5), st.integers(0, 9))
def test_a_swapped_example_says_what_the_old_one_said(drawn: list[Example], seed: int) -> None:
    random.seed(seed)
    swap = SwapEntities(1.0)
    seen: set[tuple[str, str]] = set()
    for example in drawn:
        seen |= {(ent.label_, ent.text) for ent in example.reference.ents}
        [new] = swap(None, example)
        assert new.predicted.text == new.reference.text
        assert list_parts(new.reference) == list_parts(example.reference)
        assert {(ent.label_, ent.text) for ent in new.reference.ents} <= seen
        assert new.reference.cats == {"A": 1.0}
        assert not new.predicted.ents
        new.get_aligned_ents_and_ner()


@given(st.lists(examples(), max_size=5))
def test_without_a_level_nothing_changes(drawn: list[Example]) -> None:
    swap = SwapEntities(0.0)
    assert [new for example in drawn for new in swap(NLP, example)] == drawn


def make_example(text: str, entities: list[tuple[int, int, str]]) -> Example:
    return Example.from_dict(NLP.make_doc(text), {"entities": entities})


def test_a_case_worked_by_hand() -> None:
    random.seed(0)
    swap = SwapEntities(1.0)
    first = make_example("films with drew barrymore, please", [(11, 25, "ACTOR")])
    [unchanged] = swap(None, first)
    assert unchanged.text == first.text  # nothing else was seen yet
    texts = {next(swap(None, make_example("is cher in it", [(3, 7, "ACTOR")]))).text for _ in range(20)}
    assert texts == {"is cher in it", "is drew barrymore in it"}
    texts = {next(swap(None, first)).text for _ in range(20)}
    assert texts == {"films with drew barrymore, please", "films with cher, please"}


def test_frequent_entities_are_drawn_more_often() -> None:
    random.seed(0)
    swap = SwapEntities(1.0)
    rare, frequent = make_example("cher", [(0, 4, "ACTOR")]), make_example("drew", [(0, 4, "ACTOR")])
    for example in [rare, *[frequent] * 9]:
        list(swap(None, example))
    drawn = [next(swap(None, example)).text for _ in range(20) for example in [rare, *[frequent] * 9]]
    assert 5 <= drawn.count("cher") <= 40


def test_about_the_asked_share_changes() -> None:
    random.seed(0)
    swap = SwapEntities(0.3)
    names = [f"name{index}" for index in range(400)]
    made = [next(swap(None, make_example(name, [(0, len(name), "X")]))).text for name in names]
    n_changed = sum(new != old for new, old in zip(made, names, strict=True))
    assert 90 < n_changed < 150


@pytest.mark.parametrize("kind", ["tags", "spans"])
def test_other_annotation_keeps_an_example_as_it_is(kind: str) -> None:
    swap = SwapEntities(1.0)
    example = make_example("is cher in it", [(3, 7, "ACTOR")])
    if kind == "tags":
        example.reference[0].tag_ = "VBZ"
    else:
        example.reference.spans["x"] = [Span(example.reference, 0, 2, label="X")]
    with pytest.warns(UserWarning, match="would not fit other words"):
        assert list(swap(None, example)) == [example]
    assert list(swap(None, example)) == [example]  # said once


def test_it_is_an_augmenter_of_a_corpus(tmp_path) -> None:
    texts = ["is cher in it", "is drew barrymore in it"]
    docs = [make_example(text, [(3, len(text) - 6, "ACTOR")]).reference for text in texts]
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    augmenter = spacy.registry.resolve({"x": {"@augmenters": "spacy-bertft.swap_entities.v1", "level": 1.0}})["x"]
    read = Corpus(tmp_path / "train.spacy", augmenter=augmenter)
    found = {example.text for _ in range(20) for example in read(NLP)}
    assert found == set(texts)


def test_a_level_is_a_share() -> None:
    with pytest.raises(SettingError) as caught:
        configure_swap_entities(1.5)
    assert caught.value.name == "level"
