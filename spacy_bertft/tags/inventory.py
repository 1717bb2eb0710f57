"""The tags that a model has for outputs: which scheme they belong to, and how they spell a span."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Union

from spacy_bertft.errors import TagError
from spacy_bertft.tags.schemes import Scheme, TagSpan, parse_scheme, split_tag, write_tags

# Bare tags are labels without a prefix.
TagScheme = Union[Scheme, Literal["bare"]]  # noqa: UP007 (read at run time)

_PREFIXED = re.compile("[BILUES]-.")
_SPELLED_OTHERWISE = re.compile("([BILUES])[-_](.+)", re.IGNORECASE | re.DOTALL)


def parse_tag_scheme(name: str) -> TagScheme:
    """Find the scheme of a name, in any of its spellings; `bare` is one too.

    Raises:
        SettingError: No scheme has this name.
    """
    return "bare" if name.lower() == "bare" else parse_scheme(name)


def normalize_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Spell tags such as `B_PER`, `b-PER` and `o` as `B-PER` and `O`, if that is clearly what they are.

    It is if all tags but `O` have a prefix and one label has both a tag that begins a span and one that continues it: a
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


def find_label(tag: str, scheme: TagScheme) -> str:
    """Return the label of a tag, `""` for `O`.

    Example:
        >>> find_label("B-PER", "bio"), find_label("PER", "bare"), find_label("O", "bare")
        ('PER', 'PER', '')
    """
    if scheme == "bare":
        return "" if tag == "O" else tag
    return split_tag(tag).label


def spell_spans(spans: Sequence[TagSpan], n_tokens: int, scheme: TagScheme) -> list[str]:
    """Write spans as tags, one per token; as `write_tags`, but bare tags too.

    Example:
        >>> spell_spans([TagSpan(1, 3, "PER")], 4, "bare")
        ['O', 'PER', 'PER', 'O']
    """
    if scheme == "bare":
        return [find_label(tag, "bio") or "O" for tag in write_tags(spans, n_tokens, "bio")]
    return write_tags(spans, n_tokens, scheme)
