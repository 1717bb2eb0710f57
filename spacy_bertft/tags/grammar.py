"""The grammar of legal tag sequences, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.tags.schemes import Scheme, split_tags

Tag = tuple[str, str]


@dataclass(frozen=True)
class TagGrammar:
    """Which tag may open a sequence, which may follow which, which may close it.

    Attributes:
        tags: The `L` tags; every array follows their order.
        may_start: `(L,)` whether a sequence may open with this tag.
        may_follow: `(L, L)` whether tag `j` may follow tag `i`, at `[i, j]`.
        may_end: `(L,)` whether a sequence may close with this tag.
        continues: `(L, L)` whether tag `j` belongs to the same span as the tag `i` before it, at `[i, j]`.
        labels: The label of each tag, `""` for `O`.
    """

    tags: tuple[str, ...]
    may_start: NDArray[np.bool_]
    may_follow: NDArray[np.bool_]
    may_end: NDArray[np.bool_]
    continues: NDArray[np.bool_]
    labels: tuple[str, ...]


def build_grammar(tags: Sequence[str], scheme: Scheme = "bio") -> TagGrammar:
    """Build the grammar of a tag scheme over the given tags.

    Args:
        tags: The tags of a model, in the order of its outputs.
        scheme: The scheme that they are spelled in.

    Raises:
        TagError: A tag has no prefix that the scheme knows.

    Example:
        >>> grammar = build_grammar(["O", "B-PER", "I-PER"])
        >>> grammar.may_start.tolist()
        [True, True, False]
        >>> grammar.may_follow[0].tolist()  # after O
        [True, True, False]
    """
    parsed = split_tags(tags, scheme)
    may_follow, continues, may_end = _RULES[scheme]
    outside = ("O", "")
    return TagGrammar(
        tags=tuple(tags),
        may_start=np.array([may_follow(outside, tag) for tag in parsed], dtype=np.bool_),
        may_follow=_pairs(parsed, may_follow),
        may_end=np.array([may_end(tag) for tag in parsed], dtype=np.bool_),
        continues=_pairs(parsed, continues),
        labels=tuple(label for _, label in parsed),
    )


def build_free_grammar(tags: Sequence[str]) -> TagGrammar:
    """Build the grammar in which every sequence is legal and no tag continues a span.

    This is what a part-of-speech tagger has: its tags are its labels.
    """
    n_tags = len(tags)
    always = np.ones(n_tags, dtype=np.bool_)
    return TagGrammar(
        tags=tuple(tags),
        may_start=always,
        may_follow=np.ones((n_tags, n_tags), dtype=np.bool_),
        may_end=always,
        continues=np.zeros((n_tags, n_tags), dtype=np.bool_),
        labels=tuple(tags),
    )


def build_bare_grammar(tags: Sequence[str]) -> TagGrammar:
    """Build the grammar of tags that are labels without a prefix, and `O`.

    Neighbours of one label make one span: two that touch cannot be told apart.

    Example:
        >>> build_bare_grammar(["O", "PER", "LOC"]).continues[1].tolist()  # after PER
        [False, True, False]
    """
    is_outside = np.array([tag == "O" for tag in tags], dtype=np.bool_)
    return replace(
        build_free_grammar(tags),
        continues=np.eye(len(tags), dtype=np.bool_) & ~is_outside,
        labels=tuple("" if tag == "O" else tag for tag in tags),
    )


def forbid_tags(grammar: TagGrammar, tags: Collection[str]) -> TagGrammar:
    """Return the grammar without sequences that hold one of some tags; these stay in its arrays, without a label.

    Example:
        >>> grammar = forbid_tags(build_bare_grammar(["O", "PER", "X"]), ["X"])
        >>> grammar.may_start.tolist(), grammar.labels
        ([True, True, False], ('', 'PER', ''))
    """
    is_kept = np.array([tag not in tags for tag in grammar.tags], dtype=np.bool_)
    are_kept = np.outer(is_kept, is_kept)
    return replace(
        grammar,
        may_start=grammar.may_start & is_kept,
        may_follow=grammar.may_follow & are_kept,
        may_end=grammar.may_end & is_kept,
        continues=grammar.continues & are_kept,
        labels=tuple(label if kept else "" for label, kept in zip(grammar.labels, is_kept, strict=True)),
    )


def _pairs(tags: Sequence[Tag], rule: Callable[[Tag, Tag], bool]) -> NDArray[np.bool_]:
    table = np.array([[rule(left, right) for right in tags] for left in tags], dtype=np.bool_)
    return table.reshape(len(tags), len(tags))


def _bio_continues(left: Tag, right: Tag) -> bool:
    return right[0] == "I" and left[0] != "O" and left[1] == right[1]


def _bio_may_follow(left: Tag, right: Tag) -> bool:
    return right[0] != "I" or _bio_continues(left, right)


def _iob1_may_follow(left: Tag, right: Tag) -> bool:
    # A `B-` only parts two neighbours of the same label.
    return right[0] != "B" or (left[0] != "O" and left[1] == right[1])


def _always(tag: Tag) -> bool:
    return True


def _is_open(tag: Tag) -> bool:
    """Tell whether a BILUO or BIOES tag leaves its span unfinished."""
    return tag[0] in ("B", "I")


def _biluo_continues(left: Tag, right: Tag) -> bool:
    return _is_open(left) and right[0] in ("I", "L", "E") and left[1] == right[1]


def _biluo_may_follow(left: Tag, right: Tag) -> bool:
    if _is_open(left) or right[0] in ("I", "L", "E"):
        return _biluo_continues(left, right)
    return True


def _biluo_may_end(tag: Tag) -> bool:
    return not _is_open(tag)


_BILUO = (_biluo_may_follow, _biluo_continues, _biluo_may_end)
_RULES = {
    "bio": (_bio_may_follow, _bio_continues, _always),
    "iob1": (_iob1_may_follow, _bio_continues, _always),
    "biluo": _BILUO,
    "bioes": _BILUO,
}
