"""Candidates against enumeration of all paths."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bertft.tags.candidates import compute_span_probs, find_candidates
from spacy_bertft.tags.chain import best_paths, path_log_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain
from spacy_bertft.tags.grammar import TagGrammar, build_grammar
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.tags.spans import SpanBatch, find_spans

GRAMMARS = (
    build_grammar(["O", "B-X", "I-X", "I-Y", "B-Y"], "bio"),
    build_grammar(["I-X", "O", "I-Y", "B-X"], "iob1"),
    build_grammar(["O", "B-X", "I-X", "E-X", "S-X"], "bioes"),
    build_grammar(["O", "B-X", "I-X", "L-X", "U-X"], "biluo"),
    build_grammar(["O", "X", "Y", "never"], "bare", never=["never"]),
)


def list_spans(batch: SpanBatch, grammar: TagGrammar, lengths: np.ndarray) -> dict[TagSpan, float]:
    """List the spans of a batch, counted through all of it, with their probabilities."""
    first = (np.cumsum(lengths) - lengths)[batch.sequence]
    rows = zip(first + batch.token_start, first + batch.token_end, batch.tag, batch.probs, strict=True)
    return {TagSpan(int(start), int(end), grammar.labels[tag]): float(prob) for start, end, tag, prob in rows}


def enumerate_spans(
    scores: np.ndarray, lengths: np.ndarray, chain: LinearChain, grammar: TagGrammar
) -> dict[TagSpan, float]:
    """Sum the probabilities of all paths by the spans that they hold, one by one."""
    found: dict[TagSpan, float] = defaultdict(float)
    for first, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        paths = np.array(list(product(range(len(grammar.tags)), repeat=int(length))), dtype=np.intp)
        # Every path as a sequence of its own, all of them in one batch.
        every, lasting = np.tile(scores[first : first + length], (len(paths), 1)), np.full(len(paths), length)
        probs = np.exp(path_log_probs(paths.ravel(), every, lasting, chain))
        held = find_spans(paths.ravel(), every, lasting, grammar, chain)
        for path, start, end, tag in zip(held.sequence, held.token_start, held.token_end, held.tag, strict=True):
            found[TagSpan(int(first + start), int(first + end), grammar.labels[tag])] += float(probs[path])
    return found


@pytest.mark.everyday(4)
@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("grammar", GRAMMARS)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.5, 3.0]))
@settings(max_examples=8)
def test_they_are_those_of_all_paths(grammar: TagGrammar, is_free: bool, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    plain = build_free_chain(len(grammar.tags)) if is_free else build_chain(grammar)
    chain = LinearChain(*(each + rng.normal(size=each.shape) for each in plain))
    lengths = rng.integers(0, 4, 3)
    scores = spread * rng.normal(size=(lengths.sum(), len(grammar.tags)))
    if is_free and grammar.labels.count("") > 1:
        scores[:, -1] = -np.inf  # a free chain does not know that a tag is never predicted
    expected = enumerate_spans(scores, lengths, chain, grammar)
    threshold = float(rng.choice([1e-3, 0.05, 0.3]))
    batch = find_candidates(scores, lengths, grammar, chain, threshold)
    found = list_spans(batch, grammar, lengths)
    assert len(found) == len(batch)
    assert list(found) == sorted(found)
    assert found == pytest.approx({span: prob for span, prob in expected.items() if prob >= threshold})
    probs = compute_span_probs(list(expected), scores, lengths, grammar, chain)
    assert probs == pytest.approx(list(expected.values()), abs=1e-12)
    best = find_spans(best_paths(scores, lengths, chain), scores, lengths, grammar, chain)
    assert {s for s, prob in list_spans(best, grammar, lengths).items() if prob >= threshold + 1e-9} <= found.keys()


def test_a_lower_threshold_only_adds() -> None:
    rng = np.random.default_rng(0)
    grammar, lengths = GRAMMARS[0], np.array([30, 0, 50])
    scores = 2 * rng.normal(size=(80, len(grammar.tags)))
    chain, before = build_chain(grammar), set[TagSpan]()
    for threshold in (0.5, 0.1, 0.01, 1e-4):
        found = {*list_spans(find_candidates(scores, lengths, grammar, chain, threshold), grammar, lengths)}
        assert before < found
        before = found


def test_by_hand() -> None:
    """Two tokens and no preference: the paths O O, O B, B O, B B and B I."""
    grammar, lengths = build_grammar(["O", "B-X", "I-X"], "bio"), np.array([2])
    batch = find_candidates(np.zeros((2, 3)), lengths, grammar, build_chain(grammar), 0.2 - 1e-9)
    assert list_spans(batch, grammar, lengths) == pytest.approx(
        {TagSpan(0, 1, "X"): 2 / 5, TagSpan(0, 2, "X"): 1 / 5, TagSpan(1, 2, "X"): 2 / 5}
    )


def test_a_span_without_tokens_or_over_two_sequences_is_impossible() -> None:
    grammar = GRAMMARS[0]
    spans = [TagSpan(1, 1, "X"), TagSpan(1, 3, "X"), TagSpan(0, 1, "X")]
    probs = compute_span_probs(spans, np.zeros((4, 5)), np.array([2, 2]), grammar, build_chain(grammar))
    assert probs[:2].tolist() == [0, 0]
    assert 0 < probs[2] < 1
    assert compute_span_probs([], np.zeros((0, 5)), np.array([0]), grammar, build_chain(grammar)).shape == (0,)


def test_a_forbidden_tag_makes_no_candidate() -> None:
    """Tokens that are taken may only be outside, as `bert_ner` sets it."""
    grammar, scores = GRAMMARS[0], np.zeros((3, 5), dtype=np.float32)
    scores[1, 1:] = -np.inf
    batch = find_candidates(scores, np.array([3]), grammar, build_chain(grammar), 1e-12)
    assert {span[:2] for span in list_spans(batch, grammar, np.array([3]))} == {(0, 1), (2, 3)}


def test_thousands_of_tokens_in_one_go() -> None:
    rng, grammar = np.random.default_rng(1), GRAMMARS[0]
    lengths = np.array([2000])
    scores = 3 * rng.normal(size=(2000, 5))
    chain = build_chain(grammar)
    found = list_spans(find_candidates(scores, lengths, grammar, chain, 0.01), grammar, lengths)
    assert list(found.values()) == pytest.approx(compute_span_probs(list(found), scores, lengths, grammar, chain))
