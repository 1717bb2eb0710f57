"""Tag schemes and the spans they spell: BIO (IOB2), IOB1, BILUO and BIOES, read, written, repaired and guessed.

| scheme  | one token      | several tokens       | touching spans of one label |
|---------|----------------|----------------------|-----------------------------|
| `bio`   | `B-X`          | `B-X I-X I-X`        | `B-X B-X`                   |
| `iob1`  | `I-X`          | `I-X I-X I-X`        | `I-X B-X`                   |
| `biluo` | `U-X`          | `B-X I-X L-X`        | `U-X U-X`                   |
| `bioes` | `S-X`          | `B-X I-X E-X`        | `S-X S-X`                   |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from spacy_bertft.errors import SettingError, TagError

Scheme = Literal["bio", "iob1", "biluo", "bioes"]
SCHEMES: tuple[Scheme, ...] = ("bio", "iob1", "biluo", "bioes")

# The names that other tools give to the same schemes.
_ALIASES: dict[str, Scheme] = {"iob2": "bio", "bilou": "biluo", "iobes": "bioes"}


class TagSpan(NamedTuple):
    """A labelled range of tokens, half-open."""

    token_start: int
    token_end: int
    label: str


class TagParts(NamedTuple):
    """A tag in two: `B-PER` is `("B", "PER")`, `O` is `("O", "")`."""

    prefix: str
    label: str


class _Letters(NamedTuple):
    """The prefixes of a scheme, by the place of the token in its span."""

    first: str
    inside: str
    last: str
    single: str


_OUTSIDE = TagParts("O", "")
_LETTERS: dict[Scheme, _Letters] = {
    "bio": _Letters("B", "I", "I", "B"),
    # `B` takes the place of the first `I` where a span touches one of the same label.
    "iob1": _Letters("I", "I", "I", "I"),
    "biluo": _Letters("B", "I", "L", "U"),
    "bioes": _Letters("B", "I", "E", "S"),
}
_PREFIXES: dict[Scheme, tuple[str, ...]] = {
    "bio": ("O", "B", "I"),
    "iob1": ("O", "B", "I"),
    "biluo": ("O", "B", "I", "L", "U"),
    "bioes": ("O", "B", "I", "E", "S"),
}


def parse_scheme(name: str) -> Scheme:
    """Find the scheme of a name, in any of its spellings.

    Raises:
        SettingError: No scheme has this name.

    >>> parse_scheme("IOB2")
    'bio'
    """
    lowered = name.lower()
    for scheme in SCHEMES:
        if scheme == _ALIASES.get(lowered, lowered):
            return scheme
    raise SettingError("scheme", name, f"one of {', '.join(SCHEMES)}")


def split_tag(tag: str, index: int = 0) -> TagParts:
    """Split a tag at its first hyphen; a label may hold further ones.

    Args:
        tag: The tag.
        index: Where it stands in its sequence, for the error.

    Raises:
        TagError: The tag is neither `O` nor a prefix, a hyphen and a label.

    >>> split_tag("B-creative-work")
    TagParts(prefix='B', label='creative-work')
    """
    if tag == "O":
        return _OUTSIDE
    prefix, _, label = tag.partition("-")
    if not prefix or not label or prefix == "O":
        raise TagError(index, tag, "is not a tag", "O, or a prefix and a label such as B-PER")
    return TagParts(prefix, label)


def split_tags(tags: Sequence[str], scheme: Scheme) -> list[TagParts]:
    """Split tags, each of which has to belong to the scheme; whether they may stand side by side is not asked.

    Raises:
        TagError: A text is no tag, or has a prefix of another scheme.
    """
    sequence = [split_tag(tag, index) for index, tag in enumerate(tags)]
    known = _PREFIXES[scheme]
    for index, parts in enumerate(sequence):
        if parts.prefix not in known:
            expected = ", ".join(prefix if prefix == "O" else f"{prefix}-{parts.label}" for prefix in known)
            problem = f"has a prefix that the scheme {scheme} does not know"
            raise TagError(index, tags[index], problem, f"one of {expected}")
    return sequence


def read_spans(tags: Sequence[str], scheme: Scheme = "bio") -> list[TagSpan]:
    """Read the spans of a legal tag sequence.

    Args:
        tags: One tag per token of a sentence.
        scheme: The scheme in which they are written.

    Returns:
        The spans from left to right; none overlap.

    Raises:
        TagError: A tag does not belong to the scheme, or may not stand where it stands.

    >>> read_spans(["O", "B-PER", "I-PER", "B-LOC"])
    [TagSpan(token_start=1, token_end=3, label='PER'), TagSpan(token_start=3, token_end=4, label='LOC')]
    """
    sequence = split_tags(tags, scheme)
    _check_sequence(tags, sequence, scheme)
    return _read_leniently(sequence)


def write_tags(spans: Iterable[TagSpan], n_tokens: int, scheme: Scheme = "bio") -> list[str]:
    """Write spans as tags, one per token.

    Args:
        spans: Spans that do not overlap, in any order.
        n_tokens: How many tokens the sentence has.
        scheme: The scheme to write.

    Raises:
        TagError: A span is empty, has no label, overlaps another or leaves the sentence.

    >>> write_tags([TagSpan(1, 3, "PER")], 4, "biluo")
    ['O', 'B-PER', 'L-PER', 'O']
    """
    tags = ["O"] * n_tokens
    previous = TagSpan(0, 0, "")
    for span in sorted(spans):
        _check_span(span, previous, n_tokens)
        tags[span.token_start : span.token_end] = _spell(span, previous, scheme)
        previous = span
    return tags


def repair_tags(tags: Sequence[str], scheme: Scheme = "bio") -> tuple[list[str], int]:
    """Read an illegal sequence as conlleval does, and write it legally.

    An orphan `I-X` starts a span, a change of label starts a span, a span that never finishes ends where the
    next one starts. A prefix that the scheme does not know cannot be read at all.

    Args:
        tags: One tag per token of a sentence.
        scheme: The scheme in which they are meant.

    Returns:
        Legal tags in the same scheme, and how many of them differ from what was given.

    Raises:
        TagError: A tag does not belong to the scheme.

    Source: `startOfChunk` and `endOfChunk` of conlleval (Tjong Kim Sang, 2000), as in seqeval's default mode.

    >>> repair_tags(["O", "I-PER", "I-LOC"])
    (['O', 'B-PER', 'B-LOC'], 2)
    """
    repaired = write_tags(_read_leniently(split_tags(tags, scheme)), len(tags), scheme)
    n_changed = sum(old != new for old, new in zip(tags, repaired, strict=True))
    return repaired, n_changed


def guess_scheme(sequences: Iterable[Sequence[str]]) -> Scheme:
    """Guess the scheme of a corpus from the prefixes in it and from where they stand.

    `L-` or `U-` speak for BILUO, `E-` or `S-` for BIOES. It is IOB1 if spans start with `I-` and `B-` stands
    nowhere but after its own label; a BIO corpus with a few orphans is therefore still BIO. What is not a tag is
    passed over: reading the corpus will name it.

    >>> guess_scheme([["I-PER", "O"], ["I-LOC", "B-LOC"]])
    'iob1'
    """
    prefixes: set[str] = set()
    has_starting_i, has_free_b = False, False
    for tags in sequences:
        previous = _OUTSIDE
        for tag in tags:
            current = _find_parts(tag)
            prefixes.add(current.prefix)
            if current.label != previous.label:
                has_starting_i |= current.prefix == "I"
                has_free_b |= current.prefix == "B"
            previous = current
    if prefixes & set("LU"):
        return "biluo"
    if prefixes & set("ES"):
        return "bioes"
    return "iob1" if has_starting_i and not has_free_b else "bio"


def _find_parts(tag: str) -> TagParts:
    try:
        return split_tag(tag)
    except TagError:
        return _OUTSIDE


def _read_leniently(sequence: Sequence[TagParts]) -> list[TagSpan]:
    spans = []
    start, previous = 0, _OUTSIDE
    for index, current in enumerate([*sequence, _OUTSIDE]):
        if current == _OUTSIDE or _is_start(previous, current):
            if previous != _OUTSIDE:
                spans.append(TagSpan(start, index, previous.label))
            start = index
        previous = current
    return spans


def _is_start(previous: TagParts, current: TagParts) -> bool:
    is_first = current.prefix in ("B", "U", "S")
    is_after_last = previous.prefix in ("O", "L", "U", "E", "S")
    return is_first or is_after_last or previous.label != current.label


def _check_sequence(tags: Sequence[str], sequence: Sequence[TagParts], scheme: Scheme) -> None:
    previous = _OUTSIDE
    for index, current in enumerate(sequence):
        expected = _find_expected(previous, current, scheme)
        if expected:
            before = f"follows {tags[index - 1]!r}" if index else "opens the sentence"
            raise TagError(index, tags[index], before, expected)
        previous = current
    if _is_open(previous, scheme):
        letters = _LETTERS[scheme]
        closing = letters.single if previous.prefix == letters.first else letters.last
        expected = f"{closing}-{previous.label}"
        raise TagError(len(tags) - 1, tags[-1], "leaves its span unfinished at the end of the sentence", expected)


def _find_expected(previous: TagParts, current: TagParts, scheme: Scheme) -> str | None:
    """Say what should stand in the place of `current`, or None where it is right."""
    is_new_label = previous.label != current.label
    if scheme == "bio":
        return f"B-{current.label}" if current.prefix == "I" and is_new_label else None
    if scheme == "iob1":
        return f"I-{current.label}" if current.prefix == "B" and is_new_label else None
    first, inside, last, single = _LETTERS[scheme]
    is_inner = current.prefix in (inside, last)
    if _is_open(previous, scheme) and (is_new_label or not is_inner):
        return f"{inside}-{previous.label} or {last}-{previous.label}"
    if not _is_open(previous, scheme) and is_inner:
        return f"{first}-{current.label} or {single}-{current.label}"
    return None


def _is_open(parts: TagParts, scheme: Scheme) -> bool:
    """Say whether the span of this tag must go on: only schemes that mark the last token can know."""
    return scheme in ("biluo", "bioes") and parts.prefix in ("B", "I")


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


def _spell(span: TagSpan, previous: TagSpan, scheme: Scheme) -> list[str]:
    first, inside, last, single = _LETTERS[scheme]
    if scheme == "iob1" and (previous.token_end, previous.label) == (span.token_start, span.label):
        first = single = "B"
    n_tokens = span.token_end - span.token_start
    prefixes = [single] if n_tokens == 1 else [first, *[inside] * (n_tokens - 2), last]
    return [f"{prefix}-{span.label}" for prefix in prefixes]
