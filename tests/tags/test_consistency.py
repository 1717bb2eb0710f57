"""The divergence of two passes against torch's, and what it is at rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spacy_bertft.tags import consistency_loss


def test_loss_and_gradients_are_those_of_torch() -> None:
    rng = np.random.default_rng(0)
    first, second = (torch.tensor(rng.normal(size=(6, 4)) * 3, requires_grad=True) for _ in range(2))
    logs = [each.log_softmax(dim=1) for each in (first, second)]
    kinds = [torch.nn.functional.kl_div(a, b, reduction="sum", log_target=True) for a, b in (logs, logs[::-1])]
    expected = sum(kinds) / 2
    expected.backward()
    loss, *gradients = consistency_loss(first.detach().numpy(), second.detach().numpy())
    assert loss == pytest.approx(expected.item())
    for gradient, scores in zip(gradients, (first, second), strict=True):
        np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_passes_that_agree_cost_nothing() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 3))
    loss, *gradients = consistency_loss(scores, scores + 7.0)
    assert loss == pytest.approx(0.0, abs=1e-12)
    assert all(np.abs(gradient).max() < 1e-12 for gradient in gradients)


def test_no_tokens() -> None:
    loss, first, second = consistency_loss(np.zeros((0, 3)), np.zeros((0, 3)))
    assert loss == 0.0
    assert first.shape == second.shape == (0, 3)
