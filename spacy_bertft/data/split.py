"""Splitting a corpus into parts that share no text: at random, or with the same share of each label in every part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TypeVar

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


def group_copies(keys: Iterable[Hashable], n_parts: int) -> list[list[int]]:
    """Group the texts that are to stay together.

    Args:
        keys: What copies of a text have in common, text by text.
        n_parts: How many parts the corpus is to have.

    Returns:
        The indices of the texts, copies together, in the order of their first ones.

    Raises:
        DataError: There are fewer groups than parts.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    if len(groups) < n_parts:
        found = format_count(len(groups), "different text")
        raise DataError(f"Cannot split the corpus into {n_parts} parts: {found} in the input.")
    return list(groups.values())


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
    groups = group_copies(keys, n_parts)
    n_sentences = n_kept = sum(map(len, groups))
    random = Random(seed)
    parts = [0] * n_sentences
    for part, share in enumerate(shares.values(), start=1):
        # Something is left for every part that is still to come, and for the rest.
        n_wanted = min(max(round(share * n_sentences), 1), n_kept - 1)
        chosen = _choose_groups(groups, n_wanted, len(groups) - (n_parts - part), random)
        groups = [group for group in groups if group[0] not in chosen]
        n_kept -= len(chosen)
        for index in chosen:
            parts[index] = part
    return parts


def _choose_groups(groups: list[list[int]], n_wanted: int, max_groups: int, random: Random) -> set[int]:
    random.shuffle(groups)
    chosen: set[int] = set()
    n_groups = 0
    for group in groups:
        if n_groups < max_groups and len(chosen) + len(group) <= n_wanted:
            chosen.update(group)
            n_groups += 1
    smallest = min(groups, key=len)
    return chosen or set(smallest)


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
    groups = [_Group(group, _count(group, labels)) for group in group_copies(keys, 1 + len(shares))]
    Random(seed).shuffle(groups)
    # Large ones first: the small ones even out what they leave.
    groups.sort(key=lambda group: -len(group.texts))
    plan = _Plan(groups, [1 - sum(shares.values()), *shares.values()])
    part_by_text = [0] * len(keys)
    for group, part in plan.place_groups():
        for text in group.texts:
            part_by_text[text] = part
    return part_by_text


@dataclass
class _Group:
    """Copies of one text, by their indices, with the number of copies that have each label."""

    texts: list[int]
    label_counts: Counter[_Label]
    is_placed: bool = False


class _Plan:
    """What the parts still want and lack while the groups are placed, one by one."""

    def __init__(self, groups: Sequence[_Group], shares: Sequence[float]) -> None:
        totals: Counter[_Label] = Counter()
        self.groups_by_label: dict[_Label, list[_Group]] = {}
        for group in groups:
            totals.update(group.label_counts)
            for label in group.label_counts:
                self.groups_by_label.setdefault(label, []).append(group)
        self.shares = shares
        self.n_left = {label: len(members) for label, members in self.groups_by_label.items()}
        self.wanted = [{label: share * total for label, total in totals.items()} for share in shares]
        # The parts without the label, as long as it is one that each of them is to have.
        every_part = range(len(shares))
        self.lacking = {label: set(every_part if n >= len(shares) else ()) for label, n in self.n_left.items()}

    def place_groups(self) -> list[tuple[_Group, int]]:
        placed = []
        while labels := [label for label, n_left in self.n_left.items() if n_left]:
            label = min(labels, key=lambda label: (self.n_left[label], label is _ALL, label or ""))
            for group in self.groups_by_label[label]:
                if not group.is_placed:
                    placed.append((group, self._place(group, label)))
        return placed

    def _place(self, group: _Group, label: _Label) -> int:
        part = max(self._list_candidates(group), key=lambda part: self._rate_need(part, group, label))
        group.is_placed = True
        for each, count in group.label_counts.items():
            self.n_left[each] -= 1
            self.wanted[part][each] -= count
            self.lacking[each].discard(part)
        return part

    def _rate_need(self, part: int, group: _Group, label: _Label) -> tuple[bool, float, float]:
        wanted, share = self.wanted[part], self.shares[part]
        has_room = wanted[label] >= group.label_counts[label] - _TOLERANCE
        return has_room, wanted[label] / share if has_room else wanted[label], wanted[_ALL] / share

    def _list_candidates(self, group: _Group) -> list[int]:
        """List the parts that may get a group: those that would else stay without one of its labels, if any."""
        parts = set(range(len(self.wanted)))
        for label in sorted(group.label_counts, key=lambda label: self.n_left[label]):
            if self.n_left[label] <= len(self.lacking[label]):
                parts = parts & self.lacking[label] or parts
        return sorted(parts)


def _count(group: Sequence[int], labels: Sequence[Collection[str]]) -> Counter[_Label]:
    counts: Counter[_Label] = Counter({_ALL: len(group)})
    for text in group:
        counts.update(labels[text])
    return counts
