from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.active.survey import Candidate, CandidatePool
from spacy_bertft.data.unlabelled import UnlabelledText


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=5)), st.integers(1, 6))
def test_a_pool_keeps_what_sorting_everything_would(batches, n_kept):
    pool, everything = CandidatePool(n_kept), []
    for batch in batches:
        added = [
            Candidate(UnlabelledText(len(everything) + index, "", {}), uncertainty)
            for index, uncertainty in enumerate(batch)
        ]
        everything += added
        pool.add(added)
        assert len(pool._candidates) <= 2 * n_kept
    everything.sort(key=lambda candidate: (-candidate.uncertainty, candidate.text.line))
    assert pool.list_sorted() == everything[:n_kept]
