from __future__ import annotations

import tracemalloc
from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.data.split import stratify
from spacy_bertft.errors import DataError, SettingError

SHARES = [
    {"dev": 0.1},
    {"test": 0.2},
    {"test": 0.2, "dev": 0.1},
    {"test": 0.05, "dev": 0.5},
    {"a": 0.3, "b": 0.3, "c": 0.3},
]
shares = st.sampled_from(SHARES)
labels = st.lists(st.sampled_from("xyz"), unique=True, max_size=3)


@given(st.data(), shares, st.integers(0, 9))
def test_no_text_in_two_parts_and_no_part_empty(data: st.DataObject, shares: dict[str, float], seed: int) -> None:
    n_parts = 1 + len(shares)
    keys = list(range(n_parts)) + data.draw(st.lists(st.integers(0, 30), max_size=40))
    labels_by_text = [data.draw(labels) for _ in keys]
    parts = stratify(keys, labels_by_text, shares, seed)
    assert len(parts) == len(keys)
    assert set(parts) == set(range(n_parts))
    assert len(set(zip(keys, parts, strict=True))) == len(set(keys))
    assert parts == stratify(keys, labels_by_text, shares, seed)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(lambda counts: sum(counts) > 3), shares)
def test_every_label_keeps_its_share(counts: list[int], shares: dict[str, float]) -> None:
    labels_by_text = [[str(label)] for label, count in enumerate(counts) for _ in range(count)]
    parts = stratify(range(len(labels_by_text)), labels_by_text, shares)
    found = Counter((part, label) for part, [label] in zip(parts, labels_by_text, strict=True))
    wanted = [1 - sum(shares.values()), *shares.values()]
    for label, count in enumerate(counts):
        for part, share in enumerate(wanted):
            n = found[part, str(label)]
            # One for every part, where that is possible, is more than some shares and takes from the others.
            assert abs(n - share * count) < 2 or (n == 1 and count >= len(wanted)) or count < 4 * len(wanted)
            assert n or count < len(wanted)


@given(st.lists(st.sampled_from("xyz"), min_size=4, max_size=40), st.integers(1, 3), shares)
def test_copies_count(labels_by_key: list[str], n_copies: int, shares: dict[str, float]) -> None:
    keys = [key for key, _ in enumerate(labels_by_key) for _ in range(n_copies)]
    parts = stratify(keys, [[labels_by_key[key]] for key in keys], shares)
    for label, count in Counter(labels_by_key).items():
        found = {part for key, part in zip(keys, parts, strict=True) if labels_by_key[key] == label}
        assert len(found) == 1 + len(shares) or count <= len(shares)


def test_one_case_by_hand() -> None:
    labels_by_text = [["ham"]] * 80 + [["spam"]] * 20
    parts = stratify(range(100), labels_by_text, {"test": 0.2, "dev": 0.1})
    assert Counter(zip(parts, [label for [label] in labels_by_text], strict=True)) == {
        (0, "ham"): 56,
        (1, "ham"): 16,
        (2, "ham"): 8,
        (0, "spam"): 14,
        (1, "spam"): 4,
        (2, "spam"): 2,
    }


def test_several_labels_per_text() -> None:
    # Every other text has one label, every third another, and so on.
    divisors = {"2": 2, "3": 3, "7": 7, "50": 50}
    labels_by_text = [[name for name, divisor in divisors.items() if text % divisor == 0] for text in range(600)]
    parts = stratify(range(600), labels_by_text, {"test": 0.2, "dev": 0.1})
    for part, share in enumerate([0.7, 0.2, 0.1]):
        assert abs(parts.count(part) - 600 * share) <= 3
        for name, divisor in divisors.items():
            n = sum(name in names for names, other in zip(labels_by_text, parts, strict=True) if other == part)
            assert abs(n - share * 600 / divisor) < 3


def test_a_large_group_goes_where_there_is_room() -> None:
    keys = ["a"] * 50 + list(range(50))
    parts = stratify(keys, [["x"]] * 100, {"dev": 0.1})
    assert (parts[0], sum(parts)) == (0, 10)


def test_every_part_gets_its_share_of_copied_texts() -> None:
    keys = [*range(100), *range(50)]
    parts = stratify(keys, [["x"]] * 150, {"test": 0.2, "dev": 0.1})
    assert Counter(parts[100:]) == {0: 35, 1: 10, 2: 5}
    assert Counter(parts) == {0: 105, 1: 30, 2: 15}


def test_seeds_differ() -> None:
    args = (range(100), [["x"]] * 100, {"dev": 0.5})
    assert stratify(*args, 0) != stratify(*args, 1)


def test_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="into 3 parts: 2 different texts"):
        stratify(["a", "b", "a"], [["x"]] * 3, {"test": 0.1, "dev": 0.1})
    with pytest.raises(SettingError):
        stratify(["a", "b"], [["x"]] * 2, {"dev": 1.0})


def test_memory_is_a_few_numbers_per_text() -> None:
    n_texts = 20_000
    keys, labels_by_text = array("q", range(n_texts)), [("x",), ("y", "z")] * (n_texts // 2)
    tracemalloc.start()
    try:
        stratify(keys, labels_by_text, {"dev": 0.1})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / n_texts < 150  # bytes
