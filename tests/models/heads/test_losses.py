"""The losses of the heads: against torch where that has them, and what missing annotation does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from spacy_bertft.models.heads.losses import (
    TokenLoss,
    compute_divergence,
    compute_exclusive_loss,
    compute_multilabel_loss,
    compute_token_loss,
)
from spacy_bertft.models.heads.text import sigmoid, softmax
from spacy_bertft.tags.chain import chain_loss
from spacy_bertft.tags.forward_backward import build_free_chain
from spacy_bertft.tags.grammar import build_grammar

N_DOCS, N_LABELS = 7, 4
ONES = np.ones(N_LABELS)
WEIGHTS = np.array([0.25, 1.0, 3.0, 0.0])
EXTREME = np.array([[1e4, -1e4, 0.0, 0.0], [-1e4, 1e4, 1e4, 0.0], [0.0, 0.0, 0.0, 0.0]])


def make_scores(scale: float = 3.0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(0).normal(size=(N_DOCS, N_LABELS)) * scale, requires_grad=True)


def make_gold() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 3, 1, 0, 2])


@pytest.mark.parametrize("weights", [ONES, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_exclusive_labels_cost_what_torch_says(weights, label_smoothing, scale):
    scores, gold = make_scores(scale), make_gold()
    expected = cross_entropy(scores, gold, torch.from_numpy(weights), label_smoothing=label_smoothing)
    expected.backward()
    targets = one_hot(gold, N_LABELS).double().numpy()
    loss, gradient = compute_exclusive_loss(scores.detach().numpy(), targets, weights, label_smoothing)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_soft_targets_cost_what_torch_says():
    scores = make_scores()
    targets = torch.softmax(torch.tensor(np.random.default_rng(1).normal(size=(N_DOCS, N_LABELS))), dim=1)
    expected = cross_entropy(scores, targets)
    expected.backward()
    loss, gradient = compute_exclusive_loss(scores.detach().numpy(), targets.numpy(), ONES, 0.0)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("weights", [ONES, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_labels_that_hold_together_cost_what_torch_says(weights, scale):
    scores = make_scores(scale)
    targets = torch.tensor(np.random.default_rng(1).choice([0.0, 0.3, 1.0], size=(N_DOCS, N_LABELS)))
    expected = binary_cross_entropy_with_logits(scores, targets, pos_weight=torch.from_numpy(weights))
    expected.backward()
    is_known = np.ones((N_DOCS, N_LABELS), dtype=bool)
    loss, gradient = compute_multilabel_loss(scores.detach().numpy(), targets.numpy(), is_known, weights, 0.0)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_smoothing_moves_a_target_towards_one_half():
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    is_known = np.ones(targets.shape, dtype=bool)
    smoothed = compute_multilabel_loss(scores, targets, is_known, WEIGHTS, 0.2)
    by_hand = compute_multilabel_loss(scores, np.where(targets == 1, 0.9, 0.1), is_known, WEIGHTS, 0.0)
    assert smoothed[0] == pytest.approx(by_hand[0])
    np.testing.assert_allclose(smoothed[1], by_hand[1], atol=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_documents_of_unknown_label_count_for_nothing(label_smoothing):
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    targets[[1, 4]] = 0.0
    loss, gradient = compute_exclusive_loss(scores, targets, WEIGHTS, label_smoothing)
    known = [0, 2, 3, 5, 6]
    alone = compute_exclusive_loss(scores[known], targets[known], WEIGHTS, label_smoothing)
    assert loss == pytest.approx(alone[0])
    np.testing.assert_allclose(gradient[known], alone[1], atol=1e-12)
    assert not gradient[[1, 4]].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_single_labels_that_are_unknown_count_for_nothing(smoothing):
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    is_known = np.random.default_rng(2).random(targets.shape) < 0.5
    loss, gradient = compute_multilabel_loss(scores, targets, is_known, WEIGHTS, smoothing)
    per_label = [
        compute_multilabel_loss(
            scores[[row]][:, [label]], targets[[row]][:, [label]], np.ones((1, 1), bool), weight, smoothing
        )
        for row, label in zip(*np.nonzero(is_known), strict=True)
        for at, weight in [((slice(row, row + 1), [label]), WEIGHTS[[label]])]
    ]
    assert loss == pytest.approx(np.mean([each for each, _ in per_label]))
    np.testing.assert_allclose(gradient[is_known] * is_known.sum(), [each[0, 0] for _, each in per_label], atol=1e-12)
    assert not gradient[~is_known].any()


def test_nothing_known_costs_nothing():
    scores, targets = make_scores().detach().numpy(), np.zeros((N_DOCS, N_LABELS))
    for loss, gradient in (
        compute_exclusive_loss(scores, targets, ONES, 0.1),
        compute_multilabel_loss(scores, targets, targets > 0, ONES, 0.1),
        compute_exclusive_loss(scores, np.eye(N_LABELS)[make_gold()], np.zeros(N_LABELS), 0.1),
    ):
        assert loss == 0.0
        assert gradient.shape == scores.shape
        assert not gradient.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_extreme_scores_stay_finite(dtype, label_smoothing):
    scores, targets = EXTREME.astype(dtype), np.eye(N_LABELS)[[1, 1, 0]]
    is_known = np.ones(targets.shape, dtype=bool)
    for loss, gradient in (
        compute_exclusive_loss(scores, targets, ONES, label_smoothing),
        compute_multilabel_loss(scores, targets, is_known, ONES, label_smoothing),
    ):
        assert np.isfinite(loss)
        assert loss > 100
        assert np.isfinite(gradient).all()


def test_probabilities_are_those_of_torch():
    scores = np.concatenate([EXTREME, make_scores().detach().numpy()])
    torched = torch.from_numpy(scores)
    np.testing.assert_allclose(softmax(scores), torch.softmax(torched, dim=1).numpy(), atol=1e-12)
    np.testing.assert_allclose(sigmoid(scores), torch.sigmoid(torched).numpy(), atol=1e-12)
    np.testing.assert_allclose(softmax(scores.astype(np.float32)).sum(axis=1), 1.0, atol=1e-12)


def test_an_empty_batch():
    empty = np.zeros((0, N_LABELS))
    assert softmax(empty).shape == sigmoid(empty).shape == (0, N_LABELS)
    for loss, gradient in (
        compute_exclusive_loss(empty, empty, ONES, 0.1),
        compute_multilabel_loss(empty, empty, empty.astype(bool), ONES, 0.1),
    ):
        assert loss == 0.0
        assert gradient.shape == (0, N_LABELS)


GRAMMAR = build_grammar([f"T{index}" for index in range(N_LABELS)], None)


def make_token_batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two passes of two documents of three and two tokens: scores, rows by document, and what is allowed in one."""
    scores = np.random.default_rng(0).normal(size=(10, N_LABELS)).astype(np.float32) * 3
    allowed = np.eye(N_LABELS, dtype=bool)[[0, 1, 2, 3, 0]]
    allowed[1] = True  # nothing is known of it
    allowed[2, 3] = True
    return scores, np.array([3, 2, 3, 2]), allowed


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_the_cross_entropy_of_tokens_leaves_out_those_of_which_nothing_is_known(label_smoothing):
    """Of several tags that are allowed, the probability of any of them counts."""
    scores, _, allowed = make_token_batch()
    wide = torch.from_numpy(scores[:5]).double().requires_grad_()
    loss = compute_token_loss(wide, torch.from_numpy(allowed), label_smoothing)
    loss.backward()
    gold = torch.tensor([0, 3, 0])
    expected = cross_entropy(wide[[0, 3, 4]], gold, reduction="sum", label_smoothing=label_smoothing)
    expected = expected - wide[2].softmax(dim=0)[[2, 3]].sum().log()
    assert loss.item() == pytest.approx(expected.item())
    assert wide.grad.any(dim=1).tolist() == [True, False, True, True, True]
    gradient, wide.grad = wide.grad, None
    expected.backward()
    np.testing.assert_allclose(gradient.numpy(), wide.grad.numpy(), atol=1e-12)


def test_the_divergence_of_two_passes():
    first, second = torch.log(torch.tensor([[0.5, 0.5]])), torch.log(torch.tensor([[0.8, 0.2]]))
    assert compute_divergence(first, second).item() == pytest.approx(0.208, abs=1e-3)
    assert compute_divergence(first, first + 7.0).item() == pytest.approx(0.0, abs=1e-6)


def test_the_divergence_and_its_gradient_are_those_of_the_formula():
    first, second = make_scores(), make_scores(1.0)
    passes = [each.softmax(dim=1) for each in (first, second)]
    expected = ((passes[0] - passes[1]) * (passes[0].log() - passes[1].log())).sum() / 2
    wanted = torch.autograd.grad(expected, (first, second))
    loss = compute_divergence(first, second)
    assert loss.item() == pytest.approx(expected.item())
    for gradient, other in zip(torch.autograd.grad(loss, (first, second)), wanted, strict=True):
        np.testing.assert_allclose(gradient.numpy(), other.numpy(), atol=1e-12)
    loss = compute_divergence(first, first + 7.0)  # passes that agree
    assert torch.autograd.grad(loss, first)[0].abs().max() < 1e-12


def test_the_loss_of_a_token_head_is_a_weighted_sum_of_its_parts():
    scores, lengths, allowed = make_token_batch()
    chain, twice = build_free_chain(N_LABELS), np.tile(allowed, (2, 1))
    wide = torch.from_numpy(scores).double().requires_grad_()
    by_token = compute_token_loss(wide, torch.from_numpy(twice), 0.1)
    divergence = compute_divergence(wide[:5], wide[5:])
    (2 * by_token + 3 * divergence).backward()
    whole, gradient, by_chain = chain_loss(scores, lengths, chain, twice)
    loss, found = TokenLoss(0.5, 2.0, 0.1, 3.0).compute(scores, lengths, chain, allowed, GRAMMAR)
    n_known = 8  # of ten rows
    assert loss * n_known == pytest.approx(0.5 * whole + 2 * by_token.item() + 3 * divergence.item())
    np.testing.assert_allclose(found.scores * n_known, 0.5 * gradient + wide.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.chain.transitions * n_known, by_chain.transitions, atol=1e-12)


@pytest.mark.parametrize("loss", [TokenLoss(1.0, 0.0, 0.0, 0.0), TokenLoss(1.0, 1.0, 0.1, 0.0), TokenLoss(0, 1, 0, 2)])
def test_a_batch_without_tokens(loss):
    empty, allowed = np.zeros((0, N_LABELS), dtype=np.float32), np.zeros((0, N_LABELS), dtype=bool)
    found, gradient = loss.compute(empty, np.array([0, 0]), build_free_chain(N_LABELS), allowed, GRAMMAR)
    assert found == 0.0
    assert gradient.scores.shape == (0, N_LABELS)
    assert not gradient.chain.transitions.any()
