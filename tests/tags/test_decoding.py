"""Spans against seqeval and `read_spans`; their probabilities against exhaustive search."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from seqeval.metrics.sequence_labeling import get_entities

from spacy_bertft.tags.chain import best_paths, tag_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain, run_forward_backward
from spacy_bertft.tags.grammar import Scheme, TagGrammar, build_grammar
from spacy_bertft.tags.schemes import TagSpan, read_spans
from spacy_bertft.tags.spans import SpanBatch, find_spans

TAGS: dict[Scheme, list[str]] = {
    "bio": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "iob1": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "biluo": ["O", "B-X", "I-X", "L-X", "U-X"],
    "bioes": ["O", "B-X", "I-X", "E-X", "S-X"],
}


@dataclass
class Batch:
    """Random scores of several sequences, and the spans of their best paths."""

    scheme: Scheme
    grammar: TagGrammar
    chain: LinearChain
    scores: NDArray[np.float64]
    lengths: NDArray[np.intp]
    path: NDArray[np.intp]

    def find_spans(self) -> SpanBatch:
        return find_spans(self.path, self.scores, self.lengths, self.grammar, self.chain)

    def tags(self) -> list[list[str]]:
        parts = np.split(self.path, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []
        return [[self.grammar.tags[tag] for tag in part] for part in parts]


@st.composite
def batches(draw: st.DrawFn, is_legal: st.SearchStrategy[bool], max_tokens: int = 4) -> Batch:
    """Draw up to four sequences, decoded in a chain that knows the grammar or in a free one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scheme = draw(st.sampled_from(list(TAGS)))
    grammar = build_grammar(TAGS[scheme], scheme)
    chain = build_chain(grammar) if draw(is_legal) else build_free_chain(5)
    chain = LinearChain(
        chain.start + rng.normal(size=5), chain.transitions + rng.normal(size=(5, 5)), chain.end + rng.normal(size=5)
    )
    lengths = np.array(draw(st.lists(st.integers(0, max_tokens), max_size=4)), dtype=np.intp)
    scores = rng.normal(0, 2, (lengths.sum(), 5))
    return Batch(scheme, grammar, chain, scores, lengths, best_paths(scores, lengths, chain))


def read_leniently(tags: list[str]) -> list[TagSpan]:
    # seqeval's default mode does not know L- and U-, which mean E- and S-.
    known = [{"L": "E", "U": "S"}.get(tag[0], tag[0]) + tag[1:] for tag in tags]
    return [TagSpan(start, end + 1, label) for label, start, end in get_entities(known)]


def list_spans(batch: Batch) -> list[list[TagSpan]]:
    listed: list[list[TagSpan]] = [[] for _ in batch.lengths]
    found = batch.find_spans()
    for sequence, start, end, tag in zip(found.sequence, found.token_start, found.token_end, found.tag, strict=True):
        listed[sequence].append(TagSpan(int(start), int(end), batch.grammar.labels[tag]))
    return listed


@given(batches(is_legal=st.just(True), max_tokens=8))
def test_the_spans_of_a_legal_path_are_what_its_tags_spell(batch: Batch) -> None:
    assert list_spans(batch) == [read_spans(tags, batch.scheme) for tags in batch.tags()]


@given(batches(is_legal=st.just(False), max_tokens=8))
def test_the_spans_of_any_path_are_those_of_seqeval(batch: Batch) -> None:
    assert list_spans(batch) == [read_leniently(tags) for tags in batch.tags()]


@given(batches(is_legal=st.booleans()))
@settings(max_examples=60)
def test_a_probability_sums_over_all_sequences_that_spell_the_span(batch: Batch) -> None:
    found = batch.find_spans()
    starts = np.cumsum(batch.lengths) - batch.lengths
    spans = [(sequence, span) for sequence, listed in enumerate(list_spans(batch)) for span in listed]
    for prob, (sequence, span) in zip(found.probs, spans, strict=True):
        n_tokens, chain = batch.lengths[sequence], batch.chain
        scores = batch.scores[starts[sequence] : starts[sequence] + n_tokens]
        paths = np.array(list(product(range(5), repeat=n_tokens)))
        totals = scores[np.arange(n_tokens), paths].sum(axis=1) + chain.start[paths[:, 0]] + chain.end[paths[:, -1]]
        totals += chain.transitions[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        weights = np.exp(totals - totals.max())
        spells = [span in read_leniently([batch.grammar.tags[tag] for tag in path]) for path in paths]
        np.testing.assert_allclose(prob, weights[spells].sum() / weights.sum(), atol=1e-9)


@given(batches(is_legal=st.booleans(), max_tokens=12))
def test_a_batch_answers_as_each_sequence_alone(batch: Batch) -> None:
    found, ends = batch.find_spans(), np.cumsum(batch.lengths)
    for sequence, (end, n_tokens) in enumerate(zip(ends, batch.lengths, strict=True)):
        rows, mine = slice(end - n_tokens, end), found.sequence == sequence
        alone = find_spans(batch.path[rows], batch.scores[rows], np.array([n_tokens]), batch.grammar, batch.chain)
        assert alone.token_start.tolist() == found.token_start[mine].tolist()
        assert alone.token_end.tolist() == found.token_end[mine].tolist()
        assert alone.tag.tolist() == found.tag[mine].tolist()
        np.testing.assert_allclose(alone.probs, found.probs[mine], atol=1e-12)


def test_tags_without_a_scheme_are_spans_of_one_token() -> None:
    grammar = build_grammar(["NN", "VB"], None)
    found = find_spans(np.array([0, 0, 1]), np.zeros((3, 2)), np.array([3]), grammar, build_chain(grammar))
    assert found.token_start.tolist() == [0, 1, 2]
    assert found.token_end.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.probs, 0.5)


@pytest.mark.parametrize("n_tokens", [1, 20_000])
def test_a_span_may_be_the_whole_text(n_tokens: int) -> None:
    grammar = build_grammar(["O", "B-X", "I-X"], "bio")
    path = np.array([1, *[2] * (n_tokens - 1)])
    scores = np.eye(3)[path] * 50
    found = find_spans(path, scores, np.array([n_tokens]), grammar, build_chain(grammar))
    assert (found.token_start.tolist(), found.token_end.tolist()) == ([0], [n_tokens])
    np.testing.assert_allclose(found.probs, 1.0, atol=1e-6)


@given(st.integers(0, 99), st.integers(1, 4), st.floats(0.1, 10))
def test_the_probabilities_of_all_segmentations_sum_to_one(seed: int, n_tokens: int, temperature: float) -> None:
    """Every way to cut a sentence into spans; of its first spans one has to hold, or the first token is outside."""
    rng = np.random.default_rng(seed)
    grammar = build_grammar(TAGS["bio"], "bio")
    chain = build_chain(grammar).scale_by_temperature(temperature)
    scores = rng.normal(0, 3, (n_tokens, 5)) / temperature
    lengths = np.array([n_tokens])
    paths = [np.array(path) for path in product(range(5), repeat=n_tokens)]
    legal = [path for path in paths if is_legal(path, grammar)]
    assert {tuple(best_paths(scores, lengths, chain))} <= set(map(tuple, legal))
    first = {}
    for path in legal:
        spans = find_spans(path, scores, lengths, grammar, chain)
        for start, end, tag, prob in zip(spans.token_start, spans.token_end, spans.tag, spans.probs, strict=True):
            if start == 0:
                first[int(end), int(tag)] = prob
    outside = tag_probs(run_forward_backward(scores, lengths, chain), lengths)[0, 0]
    np.testing.assert_allclose(sum(first.values()) + outside, 1.0, atol=1e-9)


def is_legal(path: NDArray[np.intp], grammar: TagGrammar) -> bool:
    return bool(
        grammar.may_start[path[0]] and grammar.may_follow[path[:-1], path[1:]].all() and grammar.may_end[path[-1]]
    )


@given(batches(is_legal=st.booleans()), st.floats(0.2, 5))
def test_a_temperature_keeps_the_best_path_and_changes_its_probability(batch: Batch, temperature: float) -> None:
    cool = batch.chain.scale_by_temperature(temperature)
    np.testing.assert_array_equal(best_paths(batch.scores / temperature, batch.lengths, cool), batch.path)
    probs = find_spans(batch.path, batch.scores / temperature, batch.lengths, batch.grammar, cool).probs
    assert ((probs >= 0) & (probs <= 1)).all()
