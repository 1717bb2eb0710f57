"""The chain against exhaustive search over all sequences, against torch, and on what is long or extreme."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spacy_bertft.errors import ShapeError, TagError
from spacy_bertft.tags.chain import best_paths, chain_loss, tag_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain, run_forward_backward
from spacy_bertft.tags.grammar import TagGrammar, build_grammar

Floats = NDArray[np.float64]
GRAMMARS = (
    build_grammar(["O", "B-X", "I-X"], "bio"),
    build_grammar(["I-X", "B-X", "O", "B-Y", "I-Y"], "bio"),
    build_grammar(["O", "B-X", "I-X", "E-X", "S-X"], "bioes"),
)


@dataclass
class Batch:
    """Random scores of several sequences, a chain, and what the gold annotation allows."""

    scores: Floats
    lengths: NDArray[np.intp]
    chain: LinearChain
    allowed: NDArray[np.bool_]

    def sequences(self) -> list[slice]:
        ends = np.cumsum(self.lengths)
        return [slice(start, end) for start, end in zip(ends - self.lengths, ends, strict=True)]


def add_noise(chain: LinearChain, rng: np.random.Generator, spread: float) -> LinearChain:
    return LinearChain(*(each + rng.normal(0, spread, each.shape) for each in chain))


@st.composite
def batches(draw: st.DrawFn, spreads: tuple[float, ...] = (1.0, 10.0)) -> Batch:
    """Draw up to three sequences of up to four tokens, over a grammar or free, with legal gold."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chain = draw(st.sampled_from([*map(build_chain, GRAMMARS), build_free_chain(1), build_free_chain(4)]))
    spread = draw(st.sampled_from(spreads))
    if draw(st.booleans()):
        chain = add_noise(chain, rng, spread)
    lengths = np.array(draw(st.lists(st.integers(0, 4), max_size=3)), dtype=np.intp)
    scores = rng.normal(0, spread, (lengths.sum(), len(chain.start)))
    gold = best_paths(rng.normal(size=scores.shape), lengths, chain)
    allowed = rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    allowed[np.arange(len(gold)), gold] = True
    return Batch(scores, lengths, chain, allowed)


def score_all_paths(scores: Floats, chain: LinearChain) -> tuple[NDArray[np.intp], Floats]:
    """List every path of one sequence, `(N, T)`, and what each earns, `(N,)`."""
    n_tokens, n_tags = scores.shape
    paths = np.array(list(product(range(n_tags), repeat=n_tokens)), dtype=np.intp)
    totals = scores[np.arange(n_tokens), paths].sum(axis=1)
    if n_tokens:
        totals += chain.start[paths[:, 0]] + chain.transitions[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        totals += chain.end[paths[:, -1]]
    return paths, totals


def log_sum_exp(totals: Floats) -> float:
    return float(np.log(np.exp(totals - totals.max()).sum()) + totals.max())


def best_legal_path(scores: Floats, grammar: TagGrammar) -> NDArray[np.intp]:
    return best_paths(scores, np.array([len(scores)]), build_chain(grammar))


def compute_loss(batch: Batch) -> tuple[float, dict[str, Floats]]:
    """Compute the loss and its gradients, by name."""
    loss, scores, chain = chain_loss(batch.scores, batch.lengths, batch.chain, batch.allowed)
    return loss, {"scores": scores, **chain._asdict()}


def count_tags(paths: NDArray[np.intp], probs: Floats, n_tags: int) -> dict[str, Floats]:
    """Count what each path holds, weighted by its probability."""
    eye = np.eye(n_tags)
    n_tokens = paths.shape[1]
    return {
        "scores": np.einsum("n,ntl->tl", probs, eye[paths]) if n_tokens else np.zeros((0, n_tags)),
        "start": probs @ eye[paths[:, 0]] if n_tokens else np.zeros(n_tags),
        "transitions": np.einsum("n,nti,ntj->ij", probs, eye[paths[:, :-1]], eye[paths[:, 1:]]),
        "end": probs @ eye[paths[:, -1]] if n_tokens else np.zeros(n_tags),
    }


@given(batches())
@settings(max_examples=300)
def test_no_path_is_better_than_the_best(batch: Batch) -> None:
    path = best_paths(batch.scores, batch.lengths, batch.chain)
    for rows in batch.sequences():
        paths, totals = score_all_paths(batch.scores[rows], batch.chain)
        assert path[rows].tolist() == paths[totals.argmax()].tolist()


@given(batches(spreads=(1.0, 10.0, 200.0)))
@settings(max_examples=300)
def test_sums_over_all_paths_match_brute_force(batch: Batch) -> None:
    sums = run_forward_backward(batch.scores, batch.lengths, batch.chain)
    probs = tag_probs(sums, batch.lengths)
    for rows, log_partition in zip(batch.sequences(), sums.log_partition, strict=True):
        paths, totals = score_all_paths(batch.scores[rows], batch.chain)
        expected = log_sum_exp(totals)
        counts = count_tags(paths, np.exp(totals - expected), len(batch.chain.start))
        np.testing.assert_allclose(log_partition, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(probs[rows], counts["scores"], atol=1e-10)


@given(batches(spreads=(1.0, 10.0, 200.0)))
@settings(max_examples=300)
def test_loss_and_gradient_match_brute_force(batch: Batch) -> None:
    loss, gradient = compute_loss(batch)
    n_tags = len(batch.chain.start)
    expected_loss, expected = 0.0, []
    for rows in batch.sequences():
        paths, totals = score_all_paths(batch.scores[rows], batch.chain)
        is_gold = batch.allowed[rows][np.arange(paths.shape[1]), paths].all(axis=1)
        of_all, of_gold = log_sum_exp(totals), log_sum_exp(totals[is_gold])
        expected_loss += of_all - of_gold
        probs = np.exp(totals - of_all) - np.where(is_gold, np.exp(np.minimum(totals - of_gold, 0)), 0.0)
        expected.append(count_tags(paths, probs, n_tags))
    np.testing.assert_allclose(loss, expected_loss, atol=1e-9)
    for name in ("start", "transitions", "end"):
        total = sum((each[name] for each in expected), np.zeros_like(getattr(batch.chain, name)))
        np.testing.assert_allclose(gradient[name], total, atol=1e-9)
    scores = np.concatenate([np.zeros((0, n_tags)), *(each["scores"] for each in expected)])
    np.testing.assert_allclose(gradient["scores"], scores, atol=1e-9)


def crf_loss(
    scores: torch.Tensor, gold: list[int], start: torch.Tensor, steps: torch.Tensor, end: torch.Tensor
) -> torch.Tensor:
    """Compute the loss of one sequence as torch would have it written."""
    alpha = start + scores[0]
    total = start[gold[0]] + scores[0, gold[0]]
    for t in range(1, len(scores)):
        alpha = torch.logsumexp(alpha[:, None] + steps, dim=0) + scores[t]
        total = total + steps[gold[t - 1], gold[t]] + scores[t, gold[t]]
    return torch.logsumexp(alpha + end, dim=0) - total - end[gold[-1]]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 12))
@settings(max_examples=30)
def test_loss_and_gradient_match_torch(seed: int, n_tags: int, n_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    chain = add_noise(build_free_chain(n_tags), rng, 2.0)
    scores, gold = rng.normal(0, 2, (n_tokens, n_tags)), rng.integers(0, n_tags, n_tokens)
    tensors = [torch.tensor(array, requires_grad=True) for array in (scores, chain.start, chain.transitions, chain.end)]
    expected = crf_loss(tensors[0], gold.tolist(), *tensors[1:])
    expected.backward()
    loss, gradient = compute_loss(Batch(scores, np.array([n_tokens]), chain, np.eye(n_tags, dtype=np.bool_)[gold]))
    np.testing.assert_allclose(loss, expected.item(), atol=1e-10)
    for name, tensor in zip(("scores", "start", "transitions", "end"), tensors, strict=True):
        # One token makes no step: torch gives the transitions no gradient at all.
        wanted = np.zeros_like(gradient[name]) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(gradient[name], wanted, atol=1e-10)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_loss_of_a_free_chain_is_cross_entropy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = torch.tensor(rng.normal(0, 3, (7, 4)), requires_grad=True)
    gold = rng.integers(0, 4, 7)
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(gold), reduction="sum")
    expected.backward()
    is_gold = np.eye(4, dtype=np.bool_)[gold]
    loss, gradient, _ = chain_loss(scores.detach().numpy(), np.array([3, 0, 4]), build_free_chain(4), is_gold)
    assert scores.grad is not None
    np.testing.assert_allclose(loss, expected.item(), atol=1e-10)
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(seed=st.integers(0, 2**32 - 1), n_tokens=st.integers(0, 4))
def test_the_best_path_is_argmax_wherever_that_is_legal(grammar: TagGrammar, seed: int, n_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = best_legal_path(rng.normal(size=(n_tokens, len(grammar.tags))), grammar)
    scores = rng.normal(size=(n_tokens, len(grammar.tags))).astype(np.float32)
    scores[np.arange(n_tokens), wanted] = 4 + rng.random(n_tokens)
    assert scores.argmax(axis=1).tolist() == best_legal_path(scores, grammar).tolist()


def test_a_path_that_argmax_would_get_wrong() -> None:
    scores = np.array([[2.0, 1.0, 0.0], [0.0, 0.5, 3.0]])  # argmax: O I-X
    assert best_legal_path(scores, GRAMMARS[0]).tolist() == [1, 2]  # B-X I-X earns 4, O B-X 2.5


def test_among_equals_the_lowest_tag_wins() -> None:
    assert best_paths(np.zeros((3, 4)), np.array([2, 1]), build_free_chain(4)).tolist() == [0, 0, 0]


def test_gold_that_the_chain_forbids_is_an_error() -> None:
    is_gold = np.eye(3, dtype=np.bool_)[[1, 2, 0, 2]]  # B-X I-X | O I-X
    with pytest.raises(TagError) as caught:
        chain_loss(np.zeros((4, 3)), np.array([2, 2]), build_chain(GRAMMARS[0]), is_gold)
    assert caught.value.index == 1


def test_scores_that_are_no_numbers_are_not_blamed_on_the_gold() -> None:
    is_gold = np.eye(3, dtype=np.bool_)[[1, 2]]
    loss, gradient, _ = chain_loss(np.full((2, 3), np.nan), np.array([2]), build_chain(GRAMMARS[0]), is_gold)
    assert np.isnan(loss)
    assert np.isnan(gradient).any()


def test_arrays_that_do_not_fit_are_an_error() -> None:
    chain = build_free_chain(3)
    for scores in (np.zeros((2, 4)), np.zeros((3, 3))):
        with pytest.raises(ShapeError) as caught:
            best_paths(scores, np.array([2]), chain)
        assert caught.value.found == scores.shape
    with pytest.raises(ShapeError, match="allowed"):
        chain_loss(np.zeros((2, 3)), np.array([2]), chain, np.ones((2, 2), dtype=np.bool_))


@pytest.mark.parametrize("spread", [1.0, 200.0])
def test_ten_thousand_tokens_match_a_plain_loop(spread: float) -> None:
    rng = np.random.default_rng(0)
    chain = add_noise(build_chain(GRAMMARS[1]), rng, 1.0)
    scores = rng.normal(0, spread, (10_000, 5))
    alpha = chain.start + scores[0]
    for row in scores[1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + chain.transitions, axis=0) + row
    sums = run_forward_backward(scores, np.array([10_000]), chain)
    np.testing.assert_allclose(sums.log_partition, np.logaddexp.reduce(alpha + chain.end), rtol=1e-12)
    np.testing.assert_allclose(tag_probs(sums, np.array([10_000])).sum(axis=1), 1.0, atol=1e-6)


def test_a_path_far_below_the_others_is_not_lost() -> None:
    # Every way through B-X starts 800 nats behind the one through O; what follows makes up for it.
    chain = build_chain(GRAMMARS[0])
    chain.transitions[0, 1] = -400
    chain.start[1] = -np.inf
    scores = np.array([[0.0, 0, 0], [0, -400, 0], [0, 0, 0], [0, 0, 2000]])
    paths, totals = score_all_paths(scores, chain)
    loss, _, gradient = chain_loss(scores, np.array([4]), chain, np.eye(3, dtype=np.bool_)[[0, 1, 2, 2]])
    sums = run_forward_backward(scores, np.array([4]), chain)
    np.testing.assert_allclose(sums.log_partition, log_sum_exp(totals))
    expected = count_tags(paths, np.exp(totals - log_sum_exp(totals)), 3)
    np.testing.assert_allclose(tag_probs(sums, np.array([4])), expected["scores"], atol=1e-9)
    assert np.isfinite(loss)
    assert np.isfinite(gradient.transitions).all()
