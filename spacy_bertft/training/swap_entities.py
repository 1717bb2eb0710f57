"""`spacy-bertft.swap_entities.v1`: an augmenter that replaces entities by other entities of the same label."""

# No `from __future__ import annotations`: confection reads signatures at run time.

import random
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import partial

from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.training import Example

from spacy_bertft.errors import SettingError

_N_REMEMBERED = 10_000
# Annotation of tokens that would not fit the words of another entity.
_TOKEN_ANNOTATION = ("TAG", "POS", "MORPH", "LEMMA", "DEP")

Words = list[tuple[str, bool]]  # the text of each token, and whether a space follows
# What `Doc` reads of a token: text, space, entity and start of a sentence; None where nothing is known of these.
Row = tuple[str, bool, str | None, bool | None]


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

    def __init__(self, level: float = 0.3) -> None:
        if not 0 <= level <= 1:
            raise SettingError("level", level, "a share from 0 to 1")
        self.level = level
        self._seen: defaultdict[str, deque[tuple[Words, Words]]] = defaultdict(partial(deque, maxlen=_N_REMEMBERED))
        self._has_warned = False

    def __call__(self, nlp: Language | None, example: Example) -> Iterator[Example]:
        """Augment one example, as spaCy asks for it; the pipeline is not needed."""
        found = _find_entities(example)
        for predicted, reference in found:
            self._seen[reference.label_].append((_get_words(predicted), _get_words(reference)))
        if not found or random.random() >= self.level or not self._may_change(example):
            yield example
            return
        chosen = [random.choice(self._seen[reference.label_]) for _, reference in found]
        sides = zip(
            (example.predicted, example.reference), zip(*found, strict=True), zip(*chosen, strict=True), strict=True
        )
        new = Example(*(_replace_spans(*side) for side in sides))
        new.reference.cats = dict(example.reference.cats)
        yield new

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


configure_swap_entities = SwapEntities  # the name under which the config finds the class


def _find_entities(example: Example) -> list[tuple[Span, Span]]:
    """Find the entities that are whole tokens on both sides, predicted and reference."""
    pairs = [(example.predicted.char_span(ent.start_char, ent.end_char), ent) for ent in example.reference.ents]
    return [(span, ent) for span, ent in pairs if span is not None and span.text == ent.text]


def _get_words(span: Span) -> Words:
    return [(token.text, bool(token.whitespace_)) for token in span]


def _replace_spans(doc: Doc, spans: Sequence[Span], words: Sequence[Words]) -> Doc:
    """Make a document with other words in some spans; each keeps its annotation and what follows it."""
    rows: list[Row] = []
    done = 0
    for span, new in zip(spans, words, strict=True):
        rows += [*map(_read_row, doc[done : span.start]), *_fill(span, new)]
        done = span.end
    rows += map(_read_row, doc[done:])
    texts, spaces, ents, starts = map(list, zip(*rows, strict=True))
    return Doc(doc.vocab, words=texts, spaces=spaces, ents=ents, sent_starts=starts)


def _read_row(token: Token) -> Row:
    ent = {"B": f"B-{token.ent_type_}", "I": f"I-{token.ent_type_}", "O": "O"}.get(token.ent_iob_)
    return token.text, bool(token.whitespace_), ent, token.is_sent_start


def _fill(span: Span, words: Words) -> Iterator[Row]:
    """Give new words the annotation of the span that they replace."""
    _, _, first, is_sent_start = _read_row(span[0])
    inside = first if first in (None, "O") else f"I-{first[2:]}"
    for index, (text, has_space) in enumerate(words):
        is_last = index == len(words) - 1
        yield (
            text,
            bool(span[-1].whitespace_) if is_last else has_space,
            inside if index else first,
            is_sent_start and not index,
        )
