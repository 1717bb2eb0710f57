"""A model is no larger than the weights that are there, and the memory for a larger one is not taken."""

from __future__ import annotations

import pytest
import torch

from spacy_bertft.errors import CheckpointError
from spacy_bertft.models.store.building import EmptyWeights, SizeLimit

WEIGHTS = {"weight": torch.ones(1000, 1000), "bias": torch.ones(1000)}
MAKERS = [
    lambda n: torch.empty(n),
    lambda n: torch.zeros((n,)),
    lambda n: torch.ones(size=(n,)),
    lambda n: torch.full((n,), 0.5),
    lambda n: torch.arange(n),
    lambda n: torch.linspace(0, 1, n),
    lambda n: torch.randn(n, generator=torch.Generator()),
    lambda n: torch.eye(n, 1),
    lambda n: torch.nn.Linear(n, 1).weight,
    lambda n: torch.nn.Embedding(n, 1, padding_idx=0).weight,
]


@pytest.mark.parametrize("make", MAKERS)
def test_what_fits_is_made_and_what_does_not_is_refused(make):
    for context in (SizeLimit(WEIGHTS, "here"), EmptyWeights()):
        with SizeLimit(WEIGHTS, "here"), context:
            assert make(7).numel() == 7
            with pytest.raises(CheckpointError, match=r"in here .* which are 1,001,000 numbers"):
                make(10**14)


def test_many_small_ones_are_counted_together():
    with SizeLimit({}, "here"), EmptyWeights():
        for _ in range(16):
            torch.nn.Linear(1023, 1024)
        with pytest.raises(CheckpointError, match="far larger than its weights, which are 0 numbers"):
            torch.nn.Linear(1023, 1024)
