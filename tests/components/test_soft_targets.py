"""Soft targets: those of one path are gold annotation, those of the student itself have no gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import spacy
from planted_words import make_example, plant
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.soft_targets import SoftTags, TagTeaching, attach_soft_tags, read_soft_tags
from spacy_bertft.errors import DataError
from spacy_bertft.models.heads.losses import TokenLoss
from spacy_bertft.tags.forward_backward import LinearChain, build_free_chain


@pytest.fixture(scope="module")
def nlp(planted):
    return spacy.load(planted)


@pytest.fixture
def ner(nlp):
    return nlp.get_pipe("bert_ner")


@pytest.fixture
def examples(nlp):
    return make_examples(nlp)


def make_examples(nlp, end: str = "") -> list[Example]:
    return [make_example(nlp, text + end, keyword) for text, keyword in plant(6, seed=7)]


def find_columns(ner, example) -> list[int]:
    tags = [f"{token.ent_iob_}-{token.ent_type_}".rstrip("-") for token in example.reference]
    return [ner.model.tags.index(tag) for tag in tags]


def teach(ner, examples, rows, chain=None, weight=1.0, temperature=1.0, tags=None) -> None:
    chain = build_free_chain(len(ner.model.tags)) if chain is None else chain
    teaching = TagTeaching(ner.name, tuple(tags or ner.model.tags), chain, weight, temperature)
    for example, scores in zip(examples, rows, strict=True):
        attach_soft_tags(example, [SoftTags(teaching, scores)])


def make_one_hot(ner, example) -> np.ndarray:
    scores = np.full((len(example.reference), len(ner.model.tags)), -1e4, dtype=np.float32)
    scores[np.arange(len(scores)), find_columns(ner, example)] = 0
    return scores


def get_soft(ner, examples) -> tuple[float, list[np.ndarray]]:
    """Compute what soft targets add to the loss and its gradient."""
    scores = ner.model.predict([example.predicted for example in examples])
    with_soft = ner.get_loss(examples, scores)
    for example in examples:
        example.reference.user_data.clear()
    without = ner.get_loss(examples, scores)
    loss = with_soft[0] - without[0]
    return loss, [
        with_soft[1].scores - without[1].scores,
        *(a - b for a, b in zip(with_soft[1].chain, without[1].chain, strict=True)),
    ]


@pytest.mark.parametrize("end", ["", " ", "  "])  # two spaces are a token
@pytest.mark.parametrize("n_joined", [1, 3])
def test_one_path_gives_the_gradient_of_gold_annotation(nlp, ner, n_joined, end):
    examples = make_examples(nlp, end)
    teach(ner, examples, [make_one_hot(ner, example) for example in examples])
    if n_joined > 1:
        pairs = [(examples[i : i + n_joined]) for i in range(0, len(examples), n_joined)]
        examples = [
            Example(Doc.from_docs([e.predicted for e in part]), Doc.from_docs([e.reference for e in part]))
            for part in pairs
        ]
    loss, gradient = get_soft(ner, examples)
    scores = ner.model.predict([example.predicted for example in examples])
    plain, expected = ner.get_loss(examples, replace(scores, loss=TokenLoss(1.0, 0.0, 0.0, 0.0)))
    assert loss == pytest.approx(plain, rel=1e-4)
    for found, wanted in zip(gradient, [expected.scores, *expected.chain], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_what_the_student_says_itself_has_no_gradient(ner, examples, temperature):
    scores = ner.model.predict([example.predicted for example in examples])
    rows = np.split(scores.scores, np.cumsum(scores.lengths)[:-1])
    teach(ner, examples, rows, scores.training_chain, weight=2.0, temperature=temperature)
    loss, gradient = get_soft(ner, examples)
    assert loss == pytest.approx(0, abs=1e-4)
    for each in gradient:
        np.testing.assert_allclose(each, 0, atol=1e-5)


def test_the_gradient_is_that_of_the_loss(ner, examples):
    scores = ner.model.predict([example.predicted for example in examples])
    targets = np.random.default_rng(0).normal(size=scores.scores.shape)
    chain = LinearChain(*(np.random.default_rng(1).normal(size=each.shape) for each in scores.training_chain))

    def compute(step: np.ndarray) -> float:
        moved = replace(scores, scores=(scores.scores.astype(np.float64) + step))
        return moved.compute_soft_loss(targets, chain, 2.0)[0]

    _, gradient = scores.compute_soft_loss(targets, chain, 2.0)
    direction = np.random.default_rng(2).normal(size=scores.scores.shape)
    slope = (compute(1e-4 * direction) - compute(-1e-4 * direction)) / 2e-4
    assert slope == pytest.approx((gradient.scores * direction).sum(), rel=1e-3)


def test_texts_without_soft_targets_learn_from_gold_annotation_alone(ner, examples):
    teach(ner, examples[:1], [make_one_hot(ner, examples[0])])
    n_rows = len(examples[0].predicted)
    _, (by_score, *_) = get_soft(ner, examples)
    assert np.abs(by_score[:n_rows]).max() > 0
    np.testing.assert_array_equal(by_score[n_rows:], 0)


def test_tokens_of_which_teachers_say_nothing(ner, examples):
    rows = [make_one_hot(ner, example) for example in examples]
    rows[0][1] = np.nan
    teach(ner, examples, rows)
    loss, gradient = get_soft(ner, examples)
    assert np.isfinite(loss)
    assert all(np.isfinite(each).all() for each in gradient)


def test_where_teachers_say_nothing_the_student_stays_as_it_is(ner, examples):
    """Not all tags alike, which would be something to learn."""
    scores = ner.model.predict([example.predicted for example in examples])
    rows = np.split(scores.scores.astype(np.float32), np.cumsum([len(example.predicted) for example in examples])[:-1])
    for row in rows:
        row[1] = np.nan
    teach(ner, examples, rows, scores.training_chain)
    loss, gradient = get_soft(ner, examples)
    assert loss == pytest.approx(0, abs=1e-6)
    for each in gradient:
        np.testing.assert_allclose(each, 0, atol=1e-6)


def test_another_tokenizer(ner, examples):
    teach(ner, examples, [make_one_hot(ner, example)[1:] for example in examples])
    with pytest.raises(DataError, match=r"are not the .* that the teachers saw"):
        read_soft_tags(examples, ner.name)


def test_other_tags(ner, examples):
    tags = [tag.replace("ACTOR", "PERSON") for tag in ner.model.tags]
    teach(ner, examples, [make_one_hot(ner, example) for example in examples], tags=tags)
    with pytest.raises(DataError, match="the teachers have the tags"):
        ner.get_loss(examples, ner.model.predict([example.predicted for example in examples]))


def test_those_of_another_component_are_left_alone(nlp, examples):
    teach(nlp.get_pipe("bert_ner"), examples, [make_one_hot(nlp.get_pipe("bert_ner"), each) for each in examples])
    assert read_soft_tags(examples, "another")[0] is None
