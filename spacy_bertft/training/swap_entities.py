"""`spacy-bertft.swap_entities.v1`: an augmenter that puts other entities of the same label in the place of entities."""

# No `from __future__ import annotations`: confection reads signatures at run time.

import random
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.errors import SettingError

_N_REMEMBERED = 10_000
# Annotation of tokens that would not fit the words of another entity.
_TOKEN_ANNOTATION = ("TAG", "POS", "MORPH", "LEMMA", "DEP")


@dataclass(frozen=True)
class Words:
    """Some tokens of a document.

    Attributes:
        texts: Their texts.
        spaces: Whether a space follows each.
    """

    texts: tuple[str, ...]
    spaces: tuple[bool, ...]


@dataclass(frozen=True)
class Entity:
    """An entity, in the tokens of both sides of its example.

    Attributes:
        label: Its label.
        predicted: Its tokens as the pipeline's tokenizer cuts them.
        reference: Its tokens in the gold annotation.
    """

    label: str
    predicted: Words
    reference: Words


@dataclass(frozen=True)
class Place:
    """Where an entity stands: half-open ranges of tokens, on both sides."""

    predicted: tuple[int, int]
    reference: tuple[int, int]


class SwapEntities:
    """Replace entities by others of the same label, drawn from the last 10,000 that were seen.

    Frequent ones are drawn more often than rare ones: where all texts are equally likely, the model meets few of those
    that it will meet again.

    Every example comes out once, changed or not, and its new text is annotated as the old one was: its entities,
    categories, sentences and tokens of which nothing is known. An example that has annotation of another kind (tags,
    lemmas, a parse, spans) comes out as it is, since that would not fit the new words; a warning says so once. An
    entity whose ends are not those of tokens on the predicted side is not replaced.

    Args:
        level: Share of the examples whose entities are replaced.

    Raises:
        SettingError: `level` is no share.

    Source: Dai & Adel (2020), "mention replacement".
    """

    def __init__(self, level: float) -> None:
        if not 0 <= level <= 1:
            raise SettingError("level", level, "a share from 0 to 1")
        self.level = level
        self._seen: defaultdict[str, deque[Entity]] = defaultdict(partial(deque, maxlen=_N_REMEMBERED))
        self._has_warned = False

    def __call__(self, nlp: Language | None, example: Example) -> Iterator[Example]:
        """Augment one example, as spaCy asks for it; the pipeline is not needed."""
        found = _find_entities(example)
        for entity, _ in found:
            self._seen[entity.label].append(entity)
        if not found or random.random() >= self.level or not self._may_change(example):
            yield example
            return
        yield _replace(example, [(place, random.choice(self._seen[entity.label])) for entity, place in found])

    def _may_change(self, example: Example) -> bool:
        reference = example.reference
        may_change = not reference.spans and not any(map(reference.has_annotation, _TOKEN_ANNOTATION))
        if not may_change and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                "swap_entities: an example has tags, lemmas, a parse or spans, which would not fit other words. Such "
                "examples are left as they are. This is said once.",
                stacklevel=2,
            )
        return may_change


def configure_swap_entities(level: float = 0.3) -> SwapEntities:
    """Configure `spacy-bertft.swap_entities.v1`; see `SwapEntities` for the setting."""
    return SwapEntities(level)


def _find_entities(example: Example) -> list[tuple[Entity, Place]]:
    """Find the entities that stand on whole tokens on both sides."""
    reference, predicted = example.reference, example.predicted
    found = []
    for ent in reference.ents:
        span = predicted.char_span(ent.start_char, ent.end_char)
        if span is not None and span.text == ent.text:
            entity = Entity(ent.label_, _get_words(span), _get_words(ent))
            found.append((entity, Place((span.start, span.end), (ent.start, ent.end))))
    return found


def _get_words(tokens: Any) -> Words:
    return Words(tuple(token.text for token in tokens), tuple(bool(token.whitespace_) for token in tokens))


def _replace(example: Example, swaps: list[tuple[Place, Entity]]) -> Example:
    predicted = _splice(example.predicted, [(place.predicted, entity.predicted) for place, entity in swaps])
    reference = _splice(example.reference, [(place.reference, entity.reference) for place, entity in swaps])
    reference.cats = dict(example.reference.cats)
    return Example(predicted, reference)


def _splice(doc: Doc, swaps: list[tuple[tuple[int, int], Words]]) -> Doc:
    """Make a document with other words in some places; each place keeps its annotation and what follows it."""
    tokens: list[_Token] = []
    done = 0
    for (start, end), new in swaps:
        tokens += map(_read_token, doc[done:start])
        tokens += _put_words(_read_token(doc[start]), _read_token(doc[end - 1]), new)
        done = end
    tokens += map(_read_token, doc[done:])
    words, spaces, ents, starts = map(list, zip(*tokens, strict=True))
    return Doc(doc.vocab, words=words, spaces=spaces, ents=ents, sent_starts=starts)


class _Token(NamedTuple):
    """A token as `Doc` reads it; nothing where nothing is known of its entity or its sentence."""

    text: str
    space: bool
    ent: str | None
    is_sent_start: bool | None


def _read_token(token: Any) -> _Token:
    ent = {"B": f"B-{token.ent_type_}", "I": f"I-{token.ent_type_}", "O": "O"}.get(token.ent_iob_)
    return _Token(token.text, bool(token.whitespace_), ent, token.is_sent_start)


def _put_words(first: _Token, last: _Token, new: Words) -> Iterator[_Token]:
    """Give new words the annotation of the entity that they replace, from its first and its last token."""
    inside = first.ent and first.ent.replace("B-", "I-", 1)
    for index, (text, space) in enumerate(zip(new.texts, new.spaces, strict=True)):
        is_last = index == len(new.texts) - 1
        yield _Token(
            text,
            last.space if is_last else space,
            inside if index else first.ent,
            (first.is_sent_start and False) if index else first.is_sent_start,
        )
