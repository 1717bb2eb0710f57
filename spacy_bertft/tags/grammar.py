"""Tag schemes: one table says how each spells a span, which tag may follow which, and what an error expects instead.

| scheme  | one token      | several tokens       | adjacent spans of one label |
|---------|----------------|----------------------|-----------------------------|
| `bio`   | `B-X`          | `B-X I-X I-X`        | `B-X B-X`                   |
| `iob1`  | `I-X`          | `I-X I-X I-X`        | `I-X B-X`                   |
| `biluo` | `U-X`          | `B-X I-X L-X`        | `U-X U-X`                   |
| `bioes` | `S-X`          | `B-X I-X E-X`        | `S-X S-X`                   |
| `bare`  | `X`            | `X X X`              | are one                      |

Columns of a corpus are of one of the first four; the outputs of a model may also be bare labels, or labels without a
scheme, such as parts of speech.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import SettingError, TagError

Scheme = Literal["bio", "iob1", "biluo", "bioes"]
SCHEMES: tuple[Scheme, ...] = ("bio", "iob1", "biluo", "bioes")
TagScheme = Union[Scheme, Literal["bare"]]  # noqa: UP007 (read at run time)

# The names that other tools give to the same schemes.
SchemeName = Literal["bio", "iob1", "iob2", "biluo", "bilou", "bioes", "iobes"]
_ALIASES = {"iob2": "bio", "bilou": "biluo", "iobes": "bioes"}
_PREFIXED = re.compile("[BILUES]-.")
_SPELLED_OTHERWISE = re.compile("([BILUES])[-_](.+)", re.IGNORECASE | re.DOTALL)


class TagParts(NamedTuple):
    """A tag in two: `B-PER` is `("B", "PER")`, `O` is `("O", "")`."""

    prefix: str
    label: str


OUTSIDE = TagParts("O", "")


class SchemeRules(NamedTuple):
    """What a scheme is.

    Attributes:
        first: The prefix of the first of several tokens.
        inside: That of those in between.
        last: That of the last.
        single: That of the only token.
        bound: The prefixes that are valid only after a tag of the same span or, for `B` in IOB1, of the same label.
        open: The prefixes that are valid only before another tag of the same span.
    """

    first: str
    inside: str
    last: str
    single: str
    bound: str
    open: str

    @property
    def prefixes(self) -> tuple[str, ...]:
        """All prefixes, in the order in which an error names them."""
        return tuple(dict.fromkeys(["O", "B", self.first, self.inside, self.last, self.single]))

    def continues(self, left: TagParts, right: TagParts) -> bool:
        """Tell whether a tag belongs to the same span as the tag before it."""
        is_inner = right.prefix in (self.inside, self.last) and left.label == right.label != ""
        return is_inner and (left.prefix in self.open or not self.open)

    def may_follow(self, left: TagParts, right: TagParts) -> bool:
        """Tell whether a tag is valid after another; `O` stands for the start of a sentence too."""
        if left.prefix in self.open:
            return self.continues(left, right)
        return right.prefix not in self.bound or (left.label == right.label and not self.open)

    def find_expected(self, left: TagParts, right: TagParts | None) -> str | None:
        """Name the valid tags where one is not valid, or None where it is.

        Args:
            left: The tag before.
            right: The tag; None for the end of the sentence, whose error is about the tag before.
        """
        if right is None:
            closing = self.single if left.prefix == self.first else self.last
            return f"{closing}-{left.label}" if left.prefix in self.open else None
        if self.may_follow(left, right):
            return None
        is_open = left.prefix in self.open
        prefixes = (self.inside, self.last) if is_open else (self.first, self.single)
        label = left.label if is_open else right.label
        return " or ".join(f"{prefix}-{label}" for prefix in dict.fromkeys(prefixes))


RULES: dict[TagScheme, SchemeRules] = {
    "bio": SchemeRules("B", "I", "I", "B", bound="I", open=""),
    # `B` replaces the first `I` where a span touches one of the same label.
    "iob1": SchemeRules("I", "I", "I", "I", bound="B", open=""),
    "biluo": SchemeRules("B", "I", "L", "U", bound="IL", open="BI"),
    "bioes": SchemeRules("B", "I", "E", "S", bound="IE", open="BI"),
    # As if every label had the prefix `I`.
    "bare": SchemeRules("I", "I", "I", "I", bound="", open=""),
}
# Labels without a scheme, each a span of one token: no tag has the prefix of an inner one.
_FREE = SchemeRules("B", "I", "I", "B", bound="", open="")


@dataclass(frozen=True)
class TagGrammar:
    """Which tag may start a sequence, which may follow which, which may end it.

    Attributes:
        tags: The `L` tags; every array follows their order.
        may_start: `(L,)` whether a sequence may start with this tag.
        may_follow: `(L, L)` whether tag `j` may follow tag `i`, at `[i, j]`.
        may_end: `(L,)` whether a sequence may end with this tag.
        continues: `(L, L)` whether tag `j` belongs to the same span as the tag `i` before it, at `[i, j]`.
        labels: The label of each tag, `""` for `O`.
    """

    tags: tuple[str, ...]
    may_start: NDArray[np.bool_]
    may_follow: NDArray[np.bool_]
    may_end: NDArray[np.bool_]
    continues: NDArray[np.bool_]
    labels: tuple[str, ...]


def build_grammar(tags: Sequence[str], scheme: TagScheme | None, never: Collection[str] = ()) -> TagGrammar:
    """Build the grammar of a model's tags.

    Args:
        tags: The tags, in the order of its outputs.
        scheme: The scheme that they are spelled in; None where every tag is a label that may follow any other, as for
            parts of speech.
        never: Those of them that no sequence may hold. They need not be of the scheme, and have no label.

    Raises:
        TagError: A tag has no prefix that the scheme knows.

    Example:
        >>> grammar = build_grammar(["O", "B-PER", "I-PER"], "bio")
        >>> grammar.may_start.tolist()
        [True, True, False]
        >>> grammar.may_follow[0].tolist()  # after O
        [True, True, False]
        >>> build_grammar(["O", "PER", "X"], "bare", never=["X"]).may_follow[0].tolist()
        [True, True, False]
    """
    rules = RULES[scheme] if scheme else _FREE
    spelled = ["O" if tag in never else tag for tag in tags]
    parts = split_tags(spelled, scheme) if scheme else [TagParts(rules.single, tag) for tag in tags]
    kept = [tag not in never for tag in tags]
    is_kept, are_kept = np.array(kept, dtype=np.bool_), np.outer(kept, kept).astype(np.bool_)
    may_start = [rules.may_follow(OUTSIDE, each) for each in parts]
    may_end = [each.prefix not in rules.open for each in parts]
    may_follow, continues = (
        np.array([[rule(left, right) for right in parts] for left in parts], dtype=np.bool_).reshape(are_kept.shape)
        for rule in (rules.may_follow, rules.continues)
    )
    return TagGrammar(
        tags=tuple(tags),
        may_start=np.array(may_start, dtype=np.bool_) & is_kept,
        may_follow=may_follow & are_kept,
        may_end=np.array(may_end, dtype=np.bool_) & is_kept,
        continues=continues & are_kept,
        labels=tuple("" if tag in never else each.label for tag, each in zip(tags, parts, strict=True)),
    )


def list_tags(label: str, scheme: TagScheme) -> list[str]:
    """List the tags that spell a label.

    Example:
        >>> list_tags("PER", "bio"), list_tags("PER", "bare")
        (['B-PER', 'I-PER'], ['PER'])
    """
    return [label] if scheme == "bare" else [f"{each}-{label}" for each in RULES[scheme].prefixes if each != "O"]


def parse_scheme(name: str) -> Scheme:
    """Find the scheme of a name, in any of its spellings.

    Raises:
        SettingError: No scheme has this name.

    Example:
        >>> parse_scheme("IOB2")
        'bio'
    """
    lowered = name.lower()
    for scheme in SCHEMES:
        if scheme == _ALIASES.get(lowered, lowered):
            return scheme
    raise SettingError("scheme", name, f"one of {', '.join(SCHEMES)}")


def parse_tag_scheme(name: str) -> TagScheme:
    """Find the scheme of a name; `bare` is one too.

    Raises:
        SettingError: No scheme has this name.
    """
    return "bare" if name.lower() == "bare" else parse_scheme(name)


def split_tag(tag: str, index: int = 0) -> TagParts:
    """Split a tag at its first hyphen; a label may hold further ones.

    Args:
        tag: The tag.
        index: Its position in its sequence, for the error.

    Raises:
        TagError: The tag is neither `O` nor a prefix, a hyphen and a label.

    Example:
        >>> split_tag("B-creative-work")
        TagParts(prefix='B', label='creative-work')
    """
    if tag == "O":
        return OUTSIDE
    prefix, _, label = tag.partition("-")
    if not prefix or not label or prefix == "O":
        raise TagError(index, tag, "is not a tag", "O, or a prefix and a label such as B-PER")
    return TagParts(prefix, label)


def split_tags(tags: Sequence[str], scheme: TagScheme) -> list[TagParts]:
    """Split tags, each of which must belong to the scheme; whether their sequence is valid is not checked.

    Raises:
        TagError: A text is no tag, or has a prefix of another scheme.
    """
    try:
        return [_split_known(tag, scheme) for tag in tags]
    except TagError as error:
        raise TagError(list(tags).index(error.tag), error.tag, error.problem, error.expected) from None


@lru_cache(maxsize=1 << 14)
def _split_known(tag: str, scheme: TagScheme) -> TagParts:
    if scheme == "bare":
        return OUTSIDE if tag == "O" else TagParts(RULES[scheme].inside, tag)
    parts, prefixes = split_tag(tag), RULES[scheme].prefixes
    if parts.prefix not in prefixes:
        expected = ", ".join(prefix if prefix == "O" else f"{prefix}-{parts.label}" for prefix in prefixes)
        raise TagError(0, tag, f"has a prefix that the scheme {scheme} does not know", f"one of {expected}")
    return parts


def are_bare(tags: Collection[str]) -> bool:
    """Return whether tags next to `O` are labels: none of them begins as if it had a prefix, of whatever scheme.

    Example:
        >>> are_bare(["O", "person-artist", "LOC"]), are_bare(["O", "X-LOC"]), are_bare(["O"])
        (True, False, False)
    """
    others = {*tags} - {"O"}
    return bool(others) and not any(re.match("[A-Z]-", tag) for tag in others)


def normalize_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Spell tags such as `B_PER`, `b-PER` and `o` as `B-PER` and `O`, if that is clearly what they are.

    It is if all tags but `O` have a prefix and one label has both a tag that starts a span and one that continues it: a
    label may well be `b_cell` or `e-mail`.

    Example:
        >>> normalize_tags(["o", "b_per", "i_per"]), normalize_tags(["O", "b_cell", "e-mail"])
        (('O', 'B-per', 'I-per'), ('O', 'b_cell', 'e-mail'))
    """
    matches = [_SPELLED_OTHERWISE.fullmatch(tag) for tag in tags if tag not in ("O", "o")]
    parts = [(match[1].upper(), match[2]) for match in matches if match]
    begun, continued = ({label for prefix, label in parts if prefix in letters} for letters in ("B", "ILE"))
    normalized = iter(f"{prefix}-{label}" for prefix, label in parts)
    spelled = tuple("O" if tag in ("O", "o") else next(normalized, tag) for tag in tags)
    is_clear = all(matches) and begun & continued and len(set(spelled)) == len(spelled)
    return spelled if is_clear else tuple(tags)


def guess_tag_scheme(tags: Sequence[str]) -> TagScheme:
    """Guess the scheme of a model from its tags.

    BIO and IOB1 have the same tags: where there are `B-` and `I-`, BIO is meant. Where there is no `B-`, spans start
    with `I-`, as in IOB1.

    Args:
        tags: The tags of a model, `O` among them or not.

    Raises:
        TagError: Some tags have a prefix and others have none.

    Example:
        >>> [guess_tag_scheme(tags) for tags in (["O", "B-X", "I-X"], ["I-X", "O"], ["S-X", "E-X"], ["O", "X"])]
        ['bio', 'iob1', 'bioes', 'bare']
    """
    prefixes = {tag: tag[0] if _PREFIXED.match(tag) else "" for tag in tags if tag != "O"}
    found = set(prefixes.values())
    if not found - {""}:
        return "bare"
    if "" in found:
        odd = next(tag for tag in prefixes if not prefixes[tag])
        raise TagError(list(tags).index(odd), odd, "has no prefix, but others have", "a tag such as B-PER")
    if found & set("LU"):
        return "biluo"
    if found & set("ES"):
        return "bioes"
    return "bio" if "B" in found else "iob1"
