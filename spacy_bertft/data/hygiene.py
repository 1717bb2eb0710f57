"""What is odd about a corpus, found while it is written: texts that are there twice, entities, names of labels."""

from __future__ import annotations

import json
from array import array as make_array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, takewhile
from operator import itemgetter
from typing import IO
from unicodedata import category

import numpy as np

from spacy_bertft.data.packed import PackedDoc
from spacy_bertft.errors import shorten

_MEANT = set("%&#@*")  # punctuation that is a word
_MOST_LABELS = 500  # each two of which are compared
_FILE_BIT, _PART_BIT = 36, 60  # where the numbers of file and part begin in that of a place, after the line
_GET_RANGE = itemgetter(0, 1)  # of a span
_RARE = 0.02  # of a label that is spelled nearly the same

_AGAIN, _OTHERWISE = "the same text again", "the same text with other labels"
_OTHER_PART, _LABEL = "the same words in another part", "a label that may be a misspelled one"
_BLANK, _EDGE = "an entity that begins or ends with a blank", "an entity that begins or ends with punctuation"


class Hygiene:
    """Counts what is odd about the Docs of a corpus, and lists it in a file.

    Args:
        n_parts: How many parts the corpus is split into.
        file: Where problems are listed, as JSON objects.

    Attributes:
        counts: How often each problem was found.
        first: The first place of each.
    """

    def __init__(self, n_parts: int, file: IO[str] | None) -> None:
        self.n_parts, self.file = n_parts, file
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}
        self._paths: dict[str, int] = {}
        # Of each Doc 32 bytes: its place, and hashes of its annotation, its text and, if there are parts, its words.
        self._rows = make_array("q")

    def add(self, doc: PackedDoc, part: int, where: tuple[object, int]) -> None:
        """Add a Doc.

        Args:
            doc: The Doc.
            part: The number of its part.
            where: File and line.
        """
        path, line = where
        text = hash(tuple(doc.words))
        annotation = hash((doc.tokens, *doc.labels, *map(_GET_RANGE, doc.spans)))
        number = self._paths.setdefault(str(path), len(self._paths))
        self._rows.extend((part << _PART_BIT | number << _FILE_BIT | line, annotation, text))
        if self.n_parts > 1:
            words = "".join(filter(str.isalnum, "".join(doc.words).casefold()))
            self._rows.append(hash(words) if words else text)
        for start, end, label in doc.spans:
            if label and (problem := find_edge(doc.words[start], doc.words[end - 1])):
                span = "".join([*doc.list_pieces()[start : end - 1], doc.words[end - 1]])
                self._report(problem, _name_place(str(path), line), text=shorten(span), label=label)

    def finish(self, label_counts: Mapping[str, int]) -> str:
        """Compare all Docs and all labels, and say in one line what was found; nothing if nothing was."""
        rows = np.frombuffer(self._rows, dtype=np.int64).reshape(-1, 4 if self.n_parts > 1 else 3)
        paths = list(self._paths)
        for key in range(2, rows.shape[1]):
            order = np.argsort(rows[:, key], kind="stable")
            again = np.flatnonzero(rows[order[1:], key] == rows[order[:-1], key])
            again = again[np.argsort(order[again + 1])]
            copies, originals = rows[order[again + 1]], rows[order[again]]
            are_same = copies[:, 1] == originals[:, 1]
            for copy, original, is_same in zip(
                *map(np.ndarray.tolist, (copies[:, 0], originals[:, 0], are_same)), strict=True
            ):
                (first, first_part), (where, part) = _find_place(paths, original), _find_place(paths, copy)
                if key == 2:
                    self._report(_AGAIN if is_same else _OTHERWISE, where, first=first)
                elif first_part != part:
                    self._report(_OTHER_PART, where, first=first)
        for rare, common in find_misspelled(label_counts):
            self._report(_LABEL, rare, other=common)
        found = [f"{problem}: {count:,} (first: {self.first[problem]})" for problem, count in self.counts.items()]
        return f"to check: {', '.join(found)}; --problems FILE lists all" if found else ""

    def _report(self, problem: str, where: str, **details: str) -> None:
        self.counts[problem] = self.counts.get(problem, 0) + 1
        self.first.setdefault(problem, where)
        if self.file is not None:
            self.file.write(json.dumps({"problem": problem, "where": where, **details}, ensure_ascii=False) + "\n")


def _find_place(paths: Sequence[str], place: int) -> tuple[str, int]:
    """Return the name of a place, and the number of its part."""
    path = paths[place >> _FILE_BIT & (1 << _PART_BIT - _FILE_BIT) - 1]
    return _name_place(path, place & (1 << _FILE_BIT) - 1), place >> _PART_BIT


def _name_place(path: str, line: int) -> str:
    return f"{path}, line {line}" if line else path


@lru_cache(maxsize=1 << 16)
def find_edge(first: str, last: str) -> str | None:
    """Find out whether a span begins or ends with what is no word, by its first and last token."""
    return _find_problem(first) or _find_problem(last)


def _find_problem(token: str) -> str | None:
    if not token.strip():
        return _BLANK
    is_punctuation = all(category(each).startswith("P") for each in token) and not _MEANT.intersection(token)
    return _EDGE if is_punctuation else None


def find_misspelled(label_counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Find labels that differ from a more frequent one by their case, or are rare and differ by one letter.

    Example:
        >>> list(find_misspelled({"PER": 9, "Per": 2, "LOCATION": 100, "LOCATON": 1, "DATE1": 5, "DATE2": 5}))
        [('Per', 'PER'), ('LOCATON', 'LOCATION')]
    """
    for pair in combinations(list(label_counts)[:_MOST_LABELS], 2):
        rare, common = sorted(pair, key=lambda label: label_counts[label])
        n_same = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))
        left, right = rare[n_same:], common[n_same:]
        is_near = left[1:] == right[1:] or left[1:] == right or left == right[1:]
        is_rare = label_counts[rare] <= _RARE * label_counts[common] and min(map(len, pair)) > 3
        if rare.casefold() == common.casefold() or (is_near and is_rare):
            yield rare, common
