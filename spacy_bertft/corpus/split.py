"""A corpus in two halves that share no sentence."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ..errors import DataError, SettingError
from .gold import GoldSentence


def split_sentences(
    sentences: Sequence[GoldSentence], dev: float, seed: int = 0
) -> tuple[list[GoldSentence], list[GoldSentence]]:
    """Split off a development set, at random, with all copies of a sentence on one side.

    Real corpora repeat themselves; a model would be praised for sentences that it has learned by heart.

    Args:
        sentences: The whole corpus.
        dev: The share to split off, above 0 and below 1.
        seed: The same seed splits the same corpus in the same way.

    Returns:
        The sentences that stay and the ones split off, both in their order. The second half is as large as whole
        groups of copies allow without going beyond its share, and neither half is empty.

    Raises:
        SettingError: `dev` is out of range.
        DataError: The corpus has fewer than two different sentences.
    """
    if not 0 < dev < 1:
        raise SettingError("dev", dev, "a share above 0 and below 1")
    groups: dict[str, list[int]] = {}
    for index, sentence in enumerate(sentences):
        groups.setdefault(" ".join(sentence.words), []).append(index)
    if len(groups) < 2:
        raise DataError(f"Cannot split off a development set: {len(groups)} different sentence in the input.")
    n_dev = min(max(round(dev * len(sentences)), 1), len(sentences) - 1)
    chosen = _choose_groups(list(groups.values()), n_dev, Random(seed))
    kept = [sentence for index, sentence in enumerate(sentences) if index not in chosen]
    return kept, [sentence for index, sentence in enumerate(sentences) if index in chosen]


def _choose_groups(groups: list[list[int]], n_wanted: int, random: Random) -> set[int]:
    random.shuffle(groups)
    chosen: set[int] = set()
    for group in groups:
        if len(chosen) + len(group) <= n_wanted:
            chosen.update(group)
    smallest = min(groups, key=len)
    return chosen or set(smallest)
