"""The losses of labels against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from spacy_bertft.training.label_loss import sigmoid, sigmoid_loss, softmax, softmax_loss

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
    loss, gradient = softmax_loss(scores.detach().numpy(), targets, weights, label_smoothing)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_soft_targets_cost_what_torch_says():
    scores = make_scores()
    targets = torch.softmax(torch.tensor(np.random.default_rng(1).normal(size=(N_DOCS, N_LABELS))), dim=1)
    expected = cross_entropy(scores, targets)
    expected.backward()
    loss, gradient = softmax_loss(scores.detach().numpy(), targets.numpy(), ONES, 0.0)
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
    loss, gradient = sigmoid_loss(scores.detach().numpy(), targets.numpy(), is_known, weights, 0.0)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_smoothing_moves_a_target_towards_one_half():
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    is_known = np.ones(targets.shape, dtype=bool)
    smoothed = sigmoid_loss(scores, targets, is_known, WEIGHTS, 0.2)
    by_hand = sigmoid_loss(scores, np.where(targets == 1, 0.9, 0.1), is_known, WEIGHTS, 0.0)
    assert smoothed[0] == pytest.approx(by_hand[0])
    np.testing.assert_allclose(smoothed[1], by_hand[1], atol=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_documents_of_unknown_label_count_for_nothing(label_smoothing):
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    targets[[1, 4]] = 0.0
    loss, gradient = softmax_loss(scores, targets, WEIGHTS, label_smoothing)
    known = [0, 2, 3, 5, 6]
    alone = softmax_loss(scores[known], targets[known], WEIGHTS, label_smoothing)
    assert loss == pytest.approx(alone[0])
    np.testing.assert_allclose(gradient[known], alone[1], atol=1e-12)
    assert not gradient[[1, 4]].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_single_labels_that_are_unknown_count_for_nothing(smoothing):
    scores, targets = make_scores().detach().numpy(), np.eye(N_LABELS)[make_gold()]
    is_known = np.random.default_rng(2).random(targets.shape) < 0.5
    loss, gradient = sigmoid_loss(scores, targets, is_known, WEIGHTS, smoothing)
    per_label = [
        sigmoid_loss(scores[[row]][:, [label]], targets[[row]][:, [label]], np.ones((1, 1), bool), weight, smoothing)
        for row, label in zip(*np.nonzero(is_known), strict=True)
        for weight in [WEIGHTS[[label]]]
    ]
    assert loss == pytest.approx(np.mean([each for each, _ in per_label]))
    np.testing.assert_allclose(gradient[is_known] * is_known.sum(), [each[0, 0] for _, each in per_label], atol=1e-12)
    assert not gradient[~is_known].any()


def test_nothing_known_costs_nothing():
    scores, targets = make_scores().detach().numpy(), np.zeros((N_DOCS, N_LABELS))
    for loss, gradient in (
        softmax_loss(scores, targets, ONES, 0.1),
        sigmoid_loss(scores, targets, targets > 0, ONES, 0.1),
        softmax_loss(scores, np.eye(N_LABELS)[make_gold()], np.zeros(N_LABELS), 0.1),
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
        softmax_loss(scores, targets, ONES, label_smoothing),
        sigmoid_loss(scores, targets, is_known, ONES, label_smoothing),
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
        softmax_loss(empty, empty, ONES, 0.1),
        sigmoid_loss(empty, empty, empty.astype(bool), ONES, 0.1),
    ):
        assert loss == 0.0
        assert gradient.shape == (0, N_LABELS)
