"""Windows cover every piece; buckets hold every window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.tokens import plan_windows
from spacy_bertft.tokens.windows import cut_buckets

sizes = st.integers(1, 9).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))
lengths = st.lists(st.integers(0, 40), max_size=5)


@given(lengths, sizes)
def test_windows_are_full_stay_in_their_text_and_cover_it(lengths: list[int], sizes: tuple[int, int]) -> None:
    size, stride = sizes
    plan = plan_windows(np.array(lengths, dtype=np.intp), size, stride)
    ends = np.cumsum(lengths, dtype=np.intp)
    for text, (n_pieces, end) in enumerate(zip(lengths, ends, strict=True)):
        mine = plan.sequence == text
        starts, stops = plan.piece_start[mine], plan.piece_end[mine]
        assert (starts[0], stops[-1]) == (end - n_pieces, end)
        assert (stops - starts == min(size, n_pieces)).all()
        assert (starts[1:] <= stops[:-1]).all()
        assert (np.diff(starts[:-1]) == stride).all()
    assert (np.diff(plan.sequence) >= 0).all()


@given(lengths, sizes)
def test_a_piece_is_owned_where_it_stands_furthest_from_an_edge(lengths: list[int], sizes: tuple[int, int]) -> None:
    plan = plan_windows(np.array(lengths, dtype=np.intp), *sizes)
    text_of_piece = np.repeat(np.arange(len(lengths)), lengths)
    owners = plan.find_owners(np.arange(sum(lengths)))
    for piece, owner in enumerate(owners):
        distances = np.minimum(piece - plan.piece_start, plan.piece_end - 1 - piece)
        assert plan.sequence[owner] == text_of_piece[piece]
        assert distances[owner] == distances[plan.sequence == text_of_piece[piece]].max()


def test_ten_thousand_pieces_by_hand() -> None:
    plan = plan_windows(np.array([10_000]), size=510, stride=382)
    assert len(plan.piece_start) == 26
    assert plan.piece_start[[0, 1, -2, -1]].tolist() == [0, 382, 9168, 9490]
    assert plan.owned_start[[0, 1, -1]].tolist() == [0, 446, 9584]


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 60))
def test_buckets_lose_repeat_and_overfill_nothing(lengths: list[int], max_pieces: int) -> None:
    buckets = cut_buckets(np.array(lengths, dtype=np.intp), max_pieces)
    assert sorted(index for bucket in buckets for index in bucket.tolist()) == list(range(len(lengths)))
    for bucket in buckets:
        longest = max(lengths[index] for index in bucket)
        assert len(bucket) * longest <= max_pieces or len(bucket) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 60))
def test_a_bucket_is_closed_only_when_the_next_would_not_fit(lengths: list[int], max_pieces: int) -> None:
    buckets = cut_buckets(np.array(lengths), max_pieces)
    for bucket, following in pairwise(buckets):
        assert (len(bucket) + 1) * lengths[following[0]] > max_pieces


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 60))
def test_a_bucket_has_no_more_padding_than_it_may_and_is_closed_only_for_that(lengths: list[int], most: int) -> None:
    buckets = cut_buckets(np.array(lengths, dtype=np.intp), 10_000, most)

    def count_padding(indices: list[int]) -> int:
        ordered = [lengths[index] for index in indices]
        return len(ordered) * max(ordered) - sum(ordered)

    assert sorted(index for bucket in buckets for index in bucket.tolist()) == list(range(len(lengths)))
    assert all(count_padding(bucket.tolist()) <= most for bucket in buckets)
    for bucket, following in pairwise(buckets):
        assert count_padding([*bucket.tolist(), following[0]]) > most
