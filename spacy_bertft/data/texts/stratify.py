"""A corpus of labelled texts in parts that share no text, each label with its share in every part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from spacy_bertft.data.parts import check_shares, group_copies

# The label of every text: what holds for labels holds for the corpus as a whole.
_ALL = None
# Shares are floats: a part that lacks one text may seem to lack a little less.
_TOLERANCE = 1e-6

_Label = str | None


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
