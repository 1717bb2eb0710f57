"""Splitting a corpus into parts that share no text: at random, or with the same share of each label in every part."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import DataError, SettingError, format_count


def make_key(*texts: str) -> bytes:
    """Make what copies of texts have in common: all but the whitespace, as a digest."""
    words = "\x1f".join(" ".join(text.split()) for text in texts)
    return blake2b(words.encode("utf-8"), digest_size=16).digest()


def check_shares(shares: Mapping[str, float]) -> None:
    """Check the shares to split off.

    Raises:
        SettingError: One is not above 0, or with those before it not below 1.
    """
    total = 0.0
    for name, share in shares.items():
        total += share
        if not (share > 0 and total < 1):
            others = " with the others" * (total != share)
            raise SettingError(name, share, f"a share above 0 and{others} below 1")


def group_copies(keys: Iterable[Hashable], n_parts: int) -> tuple[NDArray[np.intp], list[int]]:
    """Group the texts that are to stay together.

    Args:
        keys: What copies of a text have in common, text by text. Only their hashes are kept.
        n_parts: How many parts the corpus is to have.

    Returns:
        The group of each text, numbered in the order of their first ones, and the number of texts of each group.

    Raises:
        DataError: There are fewer groups than parts.
    """
    hashes = np.fromiter(map(hash, keys), dtype=np.int64)
    _, first, group_by_text = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) < n_parts:
        found = format_count(len(first), "different text")
        raise DataError(f"Cannot split the corpus into {n_parts} parts: {found} in the input.")
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    group_by_text = rank[group_by_text]
    return group_by_text, np.bincount(group_by_text).tolist()


def select_parts(items: Iterable[Item], part_by_item: Iterable[int], n_parts: int) -> list[list[Item]]:
    """Select the items of each part, in their order."""
    parts: list[list[Item]] = [[] for _ in range(n_parts)]
    for item, part in zip(items, part_by_item, strict=True):
        parts[part].append(item)
    return parts


def split_at_random(keys: Iterable[Hashable], shares: Mapping[str, float], seed: int = 0) -> list[int]:
    """Split off a development set and other parts, at random, with all copies of a sentence in one part.

    Real corpora contain duplicates; a duplicate of a training sentence in the test set inflates the scores.

    Args:
        keys: What copies of a sentence have in common, one per sentence.
        shares: The shares of the whole to split off, by name, each above 0 and all together below 1.
        seed: The same seed splits the same corpus in the same way.

    Returns:
        The part of each sentence: 0 for what stays, then 1, 2 … in the order of the shares. A part is as large as whole
        groups of copies allow without exceeding its share, and none is empty.

    Raises:
        SettingError: A share is out of range.
        DataError: The corpus has fewer different sentences than parts.
    """
    check_shares(shares)
    n_parts = 1 + len(shares)
    group_by_text, sizes = group_copies(keys, n_parts)
    n_texts = n_kept = sum(sizes)
    random, groups = Random(seed), list(range(len(sizes)))
    part_by_group = array("b", bytes(len(sizes)))
    for part, share in enumerate(shares.values(), start=1):
        # Something is left for every part that is still to come, and for the rest.
        n_wanted = min(max(round(share * n_texts), 1), n_kept - 1)
        random.shuffle(groups)
        for group in _choose_groups(groups, sizes, n_wanted, len(groups) - (n_parts - part)):
            part_by_group[group] = part
            n_kept -= sizes[group]
        groups = [group for group in groups if not part_by_group[group]]
    return _list_parts(part_by_group, group_by_text)


def _choose_groups(groups: Sequence[int], sizes: Sequence[int], n_wanted: int, max_groups: int) -> list[int]:
    chosen: list[int] = []
    for group in groups:
        if len(chosen) < max_groups and sizes[group] <= n_wanted:
            chosen.append(group)
            n_wanted -= sizes[group]
    return chosen or [min(groups, key=sizes.__getitem__)]


def _list_parts(part_by_group: array[int], group_by_text: NDArray[np.intp]) -> list[int]:
    parts: list[int] = np.frombuffer(part_by_group, dtype=np.int8)[group_by_text].tolist()
    return parts


# The label of every text: what holds for labels holds for the corpus as a whole.
_ALL = None
# Shares are floats: a part that lacks one text may seem to lack a little less.
_TOLERANCE = 1e-6

_Label = str | None
Item = TypeVar("Item")


def stratify(
    keys: Sequence[Hashable], labels: Sequence[Collection[str]], shares: Mapping[str, float], seed: int = 0
) -> list[int]:
    """Split a corpus at random, with all copies of a text in one part.

    Label after label, the one with the fewest texts left first, each text goes where the label is needed most: to
    the part that has least of its share yet, as long as there is room, and then to the part that lacks most. A label
    that has as many different texts as there are parts gets one into each, also where that is more than its share;
    only with several labels per text may that be impossible. No part is empty.

    Args:
        keys: What copies of a text have in common, text by text.
        labels: The labels of each text.
        shares: The shares of the whole to split off, by name, each above 0 and all together below 1.
        seed: The same seed splits the same corpus in the same way.

    Returns:
        The part of each text: 0 for what stays, then 1, 2 … in the order of the shares.

    Raises:
        SettingError: A share is out of range.
        DataError: There are fewer different texts than parts.

    Source: after the iterative stratification of Sechidis, Tsoumakas & Vlahavas (2011), algorithm 1. There the part
        that lacks most gets every text; with large groups first, all copies would go to the largest part.
    """
    check_shares(shares)
    group_by_text, sizes = group_copies(keys, 1 + len(shares))
    groups = list(range(len(sizes)))
    Random(seed).shuffle(groups)
    # Large ones first: the small ones even out what they leave.
    groups.sort(key=lambda group: -sizes[group])
    label_counts = _count_labels(group_by_text.tolist(), sizes, labels)
    plan = _Plan(groups, label_counts, [1 - sum(shares.values()), *shares.values()])
    return _list_parts(plan.place_groups(), group_by_text)


def _count_labels(
    group_by_text: Iterable[int], sizes: Sequence[int], labels: Iterable[Collection[str]]
) -> Sequence[Mapping[_Label, int]]:
    """Count how many texts of each group have each label; groups of one text share the counts of their labels."""
    single: dict[tuple[str, ...], Counter[_Label]] = {}
    counts: list[Counter[_Label]] = [Counter()] * len(sizes)
    for group, names in zip(group_by_text, labels, strict=True):
        if sizes[group] == 1:
            counts[group] = single.setdefault(tuple(names), Counter([_ALL, *names]))
        else:
            counts[group] = counts[group] + Counter([_ALL, *names])
    return counts


class _Plan:
    """What the parts still want and lack while the groups are placed, one by one."""

    def __init__(
        self, groups: Sequence[int], label_counts: Sequence[Mapping[_Label, int]], shares: Sequence[float]
    ) -> None:
        totals: Counter[_Label] = Counter()
        self.groups_by_label: dict[_Label, array[int]] = {}
        for group in groups:
            totals.update(label_counts[group])
            for label in label_counts[group]:
                self.groups_by_label.setdefault(label, array("q")).append(group)
        self.label_counts, self.shares = label_counts, shares
        self.part_by_group = array("b", [-1]) * len(groups)
        self.n_left = {label: len(members) for label, members in self.groups_by_label.items()}
        self.wanted = [{label: share * total for label, total in totals.items()} for share in shares]
        # The parts without the label, as long as it is one that each of them is to have.
        every_part = range(len(shares))
        self.lacking = {label: set(every_part if n >= len(shares) else ()) for label, n in self.n_left.items()}

    def place_groups(self) -> array[int]:
        while labels := [label for label, n_left in self.n_left.items() if n_left]:
            label = min(labels, key=lambda label: (self.n_left[label], label is _ALL, label or ""))
            for group in self.groups_by_label[label]:
                if self.part_by_group[group] < 0:
                    self.part_by_group[group] = self._place(self.label_counts[group], label)
        return self.part_by_group

    def _place(self, counts: Mapping[_Label, int], label: _Label) -> int:
        part = max(self._list_candidates(counts), key=lambda part: self._rate_need(part, counts[label], label))
        for each, count in counts.items():
            self.n_left[each] -= 1
            self.wanted[part][each] -= count
            self.lacking[each].discard(part)
        return part

    def _rate_need(self, part: int, count: int, label: _Label) -> tuple[bool, float, float]:
        wanted, share = self.wanted[part], self.shares[part]
        has_room = wanted[label] >= count - _TOLERANCE
        return has_room, wanted[label] / share if has_room else wanted[label], wanted[_ALL] / share

    def _list_candidates(self, counts: Mapping[_Label, int]) -> list[int]:
        """List the parts that may get a group: those that would else stay without one of its labels, if any."""
        parts = set(range(len(self.wanted)))
        for label in sorted(counts, key=lambda label: self.n_left[label]):
            if self.n_left[label] <= len(self.lacking[label]):
                parts = parts & self.lacking[label] or parts
        return sorted(parts)
