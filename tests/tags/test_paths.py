"""The layout of sequences in steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.tags.forward_backward import build_steps


@given(st.lists(st.integers(0, 5), max_size=6))
def test_step_t_holds_token_t_of_every_longer_sequence(lengths: list[int]) -> None:
    steps = build_steps(np.array(lengths, dtype=np.intp))
    starts = np.cumsum([0, *lengths])[:-1]
    assert len(steps.slices) == max(lengths, default=0)
    for t, rows in enumerate(steps.slices):
        longer = sorted((each for each in range(len(lengths)) if lengths[each] > t), key=lambda each: -lengths[each])
        assert steps.order[rows].tolist() == [int(starts[sequence]) + t for sequence in longer]
    assert sorted(steps.order.tolist()) == list(range(sum(lengths)))
