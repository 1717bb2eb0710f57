"""The cross-entropy of single tokens against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spacy_bertft.tags import token_loss


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_loss_and_gradient_are_those_of_torch(label_smoothing):
    rng = np.random.default_rng(0)
    scores = torch.tensor(rng.normal(size=(7, 5)) * 10, requires_grad=True)
    gold = torch.from_numpy(rng.integers(5, size=7))
    expected = torch.nn.functional.cross_entropy(scores, gold, reduction="sum", label_smoothing=label_smoothing)
    expected.backward()
    loss, gradient = token_loss(scores.detach().numpy(), np.eye(5, dtype=bool)[gold.numpy()], label_smoothing)
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-12)


def test_tokens_that_are_not_known_are_left_out():
    allowed = np.array([[True, True, False], [True, True, True], [False, True, False]])
    loss, gradient = token_loss(np.arange(9.0).reshape(3, 3), allowed, 0.1)
    alone, _ = token_loss(np.arange(6.0, 9.0).reshape(1, 3), allowed[2:], 0.1)
    assert loss == pytest.approx(alone)
    assert not gradient[:2].any()
    assert gradient[2].any()


def test_no_tokens():
    loss, gradient = token_loss(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), 0.1)
    assert loss == 0
    assert gradient.shape == (0, 3)
