"""Short examples → longer ones, so that a model learns how texts of many sentences look."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from spacy.tokens import Doc
from spacy.training import Example


def join_examples(examples: Iterable[Example], *, level: float, n_words: int) -> Iterator[Example]:
    """Join some of the examples to longer ones.

    Each example comes out exactly once, by itself or as part of a longer one. Those that have categories stay by
    themselves, since these are said of the whole document.

    Args:
        examples: Examples, in the order in which they are joined.
        level: Share of the examples that become part of a longer one.
        n_words: Up to how many tokens are joined; each joined example draws its own length, from 1 to this.
    """
    parts: list[Example] = []
    room = 0
    for example in examples:
        if example.reference.cats or random.random() >= level:
            yield example
            continue
        if parts and len(example.predicted) > room:
            yield _join(parts)
            parts = []
        if not parts:
            room = random.randint(1, n_words)
        parts.append(example)
        room -= len(example.predicted)
    if parts:
        yield _join(parts)


def _join(parts: list[Example]) -> Example:
    if len(parts) == 1:
        return parts[0]
    predicted, reference = ([getattr(part, side) for part in parts] for side in ("predicted", "reference"))
    return Example(Doc.from_docs(predicted), Doc.from_docs(reference))
