"""Tag sequences ↔ spans: read, written, repaired, and which scheme a corpus is in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, count, pairwise, repeat
from typing import NamedTuple

from spacy_bertft.errors import TagError
from spacy_bertft.tags.grammar import OUTSIDE, RULES, TagScheme, are_bare, split_tag, split_tags


class TagSpan(NamedTuple):
    """A labelled range of tokens, half-open."""

    token_start: int
    token_end: int
    label: str


def read_spans(tags: Sequence[str], scheme: TagScheme = "bio") -> list[TagSpan]:
    """Read the spans of a valid tag sequence.

    Args:
        tags: One tag per token of a sentence.
        scheme: The scheme in which they are written.

    Returns:
        The spans from left to right; none overlap.

    Raises:
        TagError: A tag does not belong to the scheme, or is not valid after the one before it.

    Example:
        >>> read_spans(["O", "B-PER", "I-PER", "B-LOC"])
        [TagSpan(token_start=1, token_end=3, label='PER'), TagSpan(token_start=3, token_end=4, label='LOC')]
    """
    try:
        return _read_spans(tags, scheme, is_lenient=False)
    except TagError:
        raise _find_first_error(tags, scheme) from None


def _find_first_error(tags: Sequence[str], scheme: TagScheme) -> TagError:
    """Find the first error of tags that have one."""
    sequence, rules = split_tags(tags, scheme), RULES[scheme]
    for index, (left, right) in enumerate(zip([OUTSIDE, *sequence], sequence, strict=False)):
        if expected := rules.find_expected(left, right):
            problem = f"follows {tags[index - 1]!r}" if index else "opens the sentence"
            return TagError(index, tags[index], problem, expected)
    expected = rules.find_expected(sequence[-1], None) or ""
    return TagError(len(tags) - 1, tags[-1], "leaves its span unfinished at the end of the sentence", expected)


def write_tags(spans: Iterable[TagSpan], n_tokens: int, scheme: TagScheme = "bio") -> list[str]:
    """Write spans as tags, one per token.

    Args:
        spans: Spans that do not overlap, in any order.
        n_tokens: How many tokens the sentence has.
        scheme: The scheme to write.

    Raises:
        TagError: A span is empty, has no label, overlaps another or leaves the sentence.

    Example:
        >>> write_tags([TagSpan(1, 3, "PER")], 4, "biluo"), write_tags([TagSpan(1, 3, "PER")], 4, "bare")
        (['O', 'B-PER', 'L-PER', 'O'], ['O', 'PER', 'PER', 'O'])
    """
    tags = ["O"] * n_tokens
    previous = TagSpan(0, 0, "")
    for span in sorted(spans):
        _check_span(span, previous, n_tokens)
        tags[span.token_start : span.token_end] = _spell(span, previous, scheme)
        previous = span
    return tags


def repair_tags(tags: Sequence[str], scheme: TagScheme = "bio") -> tuple[list[str], int]:
    """Read an invalid sequence as conlleval does, and write a valid one.

    An orphan `I-X` starts a span, a change of label starts a span, a span that is never finished ends where the
    next one starts. A prefix that the scheme does not know cannot be read at all.

    Args:
        tags: One tag per token of a sentence.
        scheme: The scheme in which they are meant.

    Returns:
        Valid tags in the same scheme, and how many of them differ from what was given.

    Raises:
        TagError: A tag does not belong to the scheme.

    Source: `startOfChunk` and `endOfChunk` of conlleval (Tjong Kim Sang, 2000), as in seqeval's default mode.

    Example:
        >>> repair_tags(["O", "I-PER", "I-LOC"])
        (['O', 'B-PER', 'B-LOC'], 2)
    """
    split_tags(tags, scheme)
    repaired = write_tags(_read_spans(tags, scheme, is_lenient=True), len(tags), scheme)
    n_changed = sum(old != new for old, new in zip(tags, repaired, strict=True))
    return repaired, n_changed


def guess_scheme(sequences: Iterable[Sequence[str]]) -> TagScheme:
    """Guess the scheme of a corpus from its prefixes and their neighbors.

    `L-` or `U-` speak for BILUO, `E-` or `S-` for BIOES. It is IOB1 if spans start with `I-` and `B-` comes only after
    its own label; a BIO corpus with a few orphans is therefore still BIO. Where no tag has a prefix, tags are labels.
    Otherwise what is no tag is passed over: reading the corpus will name it.

    Example:
        >>> guess_scheme([["I-PER", "O"], ["I-LOC", "B-LOC"]])
        'iob1'
    """
    prefixes: set[str] = set()
    starting: set[str] = set()  # prefixes of tags after another label
    found: set[str] = set()
    for tags in sequences:
        previous = OUTSIDE
        found.update(tags)
        for tag in tags:
            try:
                current = split_tag(tag)
            except TagError:
                current = OUTSIDE
            prefixes.add(current.prefix)
            if current.label != previous.label:
                starting.add(current.prefix)
            previous = current
    if are_bare(found):
        return "bare"
    if prefixes & set("LU"):
        return "biluo"
    if prefixes & set("ES"):
        return "bioes"
    return "iob1" if "I" in starting and "B" not in starting else "bio"


def _read_spans(tags: Sequence[str], scheme: TagScheme, *, is_lenient: bool) -> list[TagSpan]:
    is_boundary = map(_is_boundary, ["O", *tags], [*tags, "O"], repeat(scheme), repeat(is_lenient))
    prefix_width = 0 if scheme == "bare" else 2
    return [
        TagSpan(start, end, tags[start][prefix_width:])
        for start, end in pairwise(compress(count(), is_boundary))
        if tags[start] != "O"
    ]


@lru_cache(maxsize=1 << 14)
def _is_boundary(left: str, right: str, scheme: TagScheme, is_lenient: bool) -> bool:
    """Return whether a span ends or starts between two tags.

    Raises:
        TagError: One of them is no tag of the scheme or, unless lenient, not valid next to the other.
    """
    previous, current = split_tags([left, right], scheme)
    if not is_lenient and (expected := RULES[scheme].find_expected(previous, current)):
        raise TagError(1, right, f"follows {left!r}", expected)
    if not previous.label and not current.label:
        return False
    # Tags of one span have one label; `O`, whose label is empty, starts what is no span.
    return current.prefix in "BUS" or previous.prefix in "OLUES" or previous.label != current.label


def _check_span(span: TagSpan, previous: TagSpan, n_tokens: int) -> None:
    if not span.label:
        raise TagError(span.token_start, span.label, "is no label", "a label that is not empty")
    if span.token_start >= span.token_end:
        raise TagError(span.token_start, span.label, "labels a span without tokens", "token_start < token_end")
    if span.token_start < 0 or span.token_end > n_tokens:
        problem = f"labels tokens {span.token_start} to {span.token_end} of {n_tokens}"
        raise TagError(span.token_start, span.label, problem, "a span inside the sentence")
    if span.token_start < previous.token_end:
        problem = f"overlaps the span {previous.label!r} that ends at token {previous.token_end}"
        raise TagError(span.token_start, span.label, problem, "spans that share no token")


def _spell(span: TagSpan, previous: TagSpan, scheme: TagScheme) -> list[str]:
    n_tokens = span.token_end - span.token_start
    if scheme == "bare":
        return [span.label] * n_tokens
    first, inside, last, single, *_ = RULES[scheme]
    if scheme == "iob1" and (previous.token_end, previous.label) == (span.token_start, span.label):
        first = single = "B"
    prefixes = [single] if n_tokens == 1 else [first, *[inside] * (n_tokens - 2), last]
    return [f"{prefix}-{span.label}" for prefix in prefixes]
