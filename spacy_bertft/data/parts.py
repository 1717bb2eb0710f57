"""What every split into parts keeps to: shares that leave something over, and copies that stay together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from spacy_bertft.errors import DataError, SettingError


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
        found = f"{len(groups)} different {'text' if len(groups) == 1 else 'texts'}"
        raise DataError(f"Cannot split the corpus into {n_parts} parts: {found} in the input.")
    return list(groups.values())
