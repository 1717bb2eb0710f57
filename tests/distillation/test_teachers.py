"""What teachers say: two equal ones say what one says, and it is the same again from a disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.distillation.teachers import TagTargets, average, score_tags
from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.tags.chain import best_paths, tag_probs
from spacy_bertft.tags.forward_backward import LinearChain, run_forward_backward

TAGS = ("O", "B-X", "I-X")


def make_targets(seed: int, tags: tuple[str, ...] = TAGS) -> TagTargets:
    rng = np.random.default_rng(seed)
    chain = LinearChain(rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3))
    scores = rng.normal(size=(6, 3)).astype(np.float32)
    scores[2] = np.nan  # a token without a subword token
    return TagTargets(tags, chain, scores, np.array([4, 0, 2]), "a hash")


def average_all(targets: list[TagTargets]) -> TagTargets:
    """Average teachers that are asked about all documents."""
    return average(targets, [np.arange(3)] * len(targets), "a hash")


def read_all(targets: TagTargets) -> list[np.ndarray]:
    return [targets.scores, targets.n_tokens, *targets.chain]


@given(st.integers(0, 100), st.integers(1, 4))
def test_equal_teachers_are_as_one(seed, n_teachers):
    targets = make_targets(seed)
    for one, mean in zip(read_all(targets), read_all(average_all([targets] * n_teachers)), strict=True):
        np.testing.assert_allclose(mean, one, rtol=1e-6)


def test_the_order_of_the_tags_makes_no_difference():
    first, second = make_targets(0), make_targets(1)
    order = [2, 0, 1]
    other = TagTargets(
        tuple(TAGS[i] for i in order), second.chain.reorder(order), second.scores[:, order], second.n_tokens, "a hash"
    )
    for expected, found in zip(
        *map(read_all, (average_all([first, second]), average_all([first, other]))), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_teachers_with_other_tags():
    with pytest.raises(DataError, match="do not have the same tags: O, B-X, I-X; O, B-Y, I-Y"):
        average_all([make_targets(0), make_targets(1, ("O", "B-Y", "I-Y"))])


def test_each_document_has_the_scores_of_those_who_were_asked():
    first, second = make_targets(0), make_targets(1)
    found = average([first, second], [np.array([0, 2, 3]), np.array([1, 2, 3])], "all of them")
    assert (found.words, found.n_tokens.tolist()) == ("all of them", [4, 4, 0, 2])
    both = (first.scores[4:] + second.scores[4:]) / 2
    for one, expected in zip(found.split(), (first.scores[:4], second.scores[:4], both[:0], both), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-6)
    np.testing.assert_allclose(found.chain.transitions, (first.chain.transitions + second.chain.transitions) / 2)


def test_where_one_has_no_scores_the_others_count():
    first, second = make_targets(0), make_targets(1)
    second.scores[2] = [1.0, 2.0, 3.0]
    second.scores[4] = np.nan
    found = average_all([first, second]).scores
    np.testing.assert_array_equal(found[2], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found[4], first.scores[4], rtol=1e-6)
    np.testing.assert_allclose(found[0], (first.scores[0] + second.scores[0]) / 2, rtol=1e-6)


def test_what_is_read_is_what_was_written(tmp_path):
    targets = make_targets(0)
    targets.write(tmp_path / "ner.npz")
    read = TagTargets.read(tmp_path / "ner.npz")
    assert (read.tags, read.words) == (TAGS, "a hash")
    for expected, found in zip(*map(read_all, (targets, read)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [len(rows) for rows in read.split()] == [4, 0, 2]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x04N."])
def test_a_file_of_something_else(tmp_path, content):
    (tmp_path / "ner.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"ner\.npz holds no soft targets"):
        TagTargets.read(tmp_path / "ner.npz")


def test_logarithms_of_probabilities_need_no_chain():
    targets = make_targets(3)
    normal = targets.normalize()
    is_known = ~np.isnan(targets.scores[:, 0])
    assert np.isnan(normal.scores[2]).all()
    lengths = np.array([3, 0, 2])
    sums = run_forward_backward(targets.scores[is_known].astype(float), lengths, targets.chain)
    np.testing.assert_allclose(np.exp(normal.scores[is_known]), tag_probs(sums, lengths), rtol=1e-4)
    assert not any(each.any() for each in normal.chain)


def test_scores_of_a_pipeline_give_its_entities(nlp_of_planted):
    nlp, texts = nlp_of_planted
    docs = [nlp.make_doc(text) for text in [*texts, "", "  "]]
    targets = score_tags(nlp, nlp.get_pipe("bert_ner"), docs)
    assert [len(rows) for rows in targets.split()] == [len(doc) for doc in docs]
    for doc, rows in zip(docs, targets.split(), strict=True):
        rows = rows[~np.isnan(rows[:, 0])]
        path = best_paths(rows, np.array([len(rows)]), targets.chain)
        begins = [targets.tags[tag] for tag in path if targets.tags[tag].startswith("B-")]
        assert begins == [f"B-{ent.label_}" for ent in nlp(doc.text).ents]
        assert not doc.ents
