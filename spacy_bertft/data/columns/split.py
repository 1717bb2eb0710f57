"""A corpus in parts that share no sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.data.parts import check_shares, group_copies


def split_sentences(
    sentences: Sequence[GoldSentence], shares: Mapping[str, float], seed: int = 0
) -> list[list[GoldSentence]]:
    """Split off a development set and other parts, at random, with all copies of a sentence in one part.

    Real corpora repeat themselves; a model would be praised for sentences that it has learned by heart.

    Args:
        sentences: The whole corpus.
        shares: The shares of the whole to split off, by name, each above 0 and all together below 1.
        seed: The same seed splits the same corpus in the same way.

    Returns:
        The sentences that stay and then the parts split off, each in its order. A part is as large as whole groups
        of copies allow without going beyond its share, and none is empty.

    Raises:
        SettingError: A share is out of range.
        DataError: The corpus has fewer different sentences than parts.
    """
    check_shares(shares)
    groups = group_copies((" ".join(sentence.words) for sentence in sentences), 1 + len(shares))
    random = Random(seed)
    part_by_index = dict.fromkeys(range(len(sentences)), 0)
    n_kept, n_parts = len(sentences), 1 + len(shares)
    for part, share in enumerate(shares.values(), start=1):
        # Something is left for every part that is still to come, and for the rest.
        n_wanted = min(max(round(share * len(sentences)), 1), n_kept - 1)
        chosen = _choose_groups(groups, n_wanted, len(groups) - (n_parts - part), random)
        groups = [group for group in groups if group[0] not in chosen]
        n_kept -= len(chosen)
        part_by_index.update(dict.fromkeys(chosen, part))
    return [[sentences[index] for index in part_by_index if part_by_index[index] == part] for part in range(n_parts)]


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
