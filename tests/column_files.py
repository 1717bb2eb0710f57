"""Column files for the tests: random sentences, and how to write them in every layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from spacy_bertft.tags.grammar import Scheme
from spacy_bertft.tags.schemes import TagSpan, write_tags


@dataclass(frozen=True)
class Sentence:
    words: list[str]
    spans: list[TagSpan]


@dataclass(frozen=True)
class Style:
    """How a file is written."""

    separator: str
    is_tag_first: bool
    n_fillers: int
    newline: str
    has_bom: bool
    has_last_newline: bool

    def write(self, path: Path, sentences: Sequence[Sentence], scheme: Scheme) -> None:
        lines = [line for sentence in sentences for line in [*self.format(sentence, scheme), ""]]
        text = self.newline.join(lines) if self.has_last_newline else self.newline.join(lines[:-1])
        path.write_bytes(("\ufeff" * self.has_bom + text).encode())

    def format(self, sentence: Sentence, scheme: Scheme) -> list[str]:
        tags = write_tags(sentence.spans, len(sentence.words), scheme)
        fillers = ["x"] * self.n_fillers
        rows = [[word, *fillers, tag] for word, tag in zip(sentence.words, tags, strict=True)]
        return [self.separator.join(row[::-1] if self.is_tag_first else row) for row in rows]


styles = st.builds(
    Style,
    separator=st.sampled_from(["\t", " ", "  "]),
    is_tag_first=st.booleans(),
    n_fillers=st.integers(0, 2),
    newline=st.sampled_from(["\n", "\r\n"]),
    has_bom=st.booleans(),
    has_last_newline=st.booleans(),
)

# Odd characters that belong to words: no-break space, next line, line separator, zero-width joiner, a combining mark.
_odd = st.text(st.sampled_from("a#\u00a0\u0085\u2028\u200d\u0301\U0001f600-|B"), min_size=1, max_size=4)
_any = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t \ufeff"), min_size=1, max_size=4)
# Words that look like tags or numbers would make a small file one that cannot be read without advice.
words = (_odd | _any).filter(lambda word: not re.fullmatch("O|[BILUES]-.+|[0-9].*", word))


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Draw a sentence of at least one word."""
    drawn = draw(st.lists(words, min_size=1, max_size=8, unique=True))
    spans, start = [], 0
    while start < len(drawn):
        end = draw(st.integers(start + 1, len(drawn)))
        if draw(st.booleans()):
            spans.append(TagSpan(start, end, draw(st.sampled_from(["PER", "creative-work"]))))
        start = end
    return Sentence(drawn, spans)
