"""What one component has to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.evaluate.bootstrap import Floats
from spacy_bertft.evaluate.confusion import Confusion
from spacy_bertft.evaluate.counts import Counts
from spacy_bertft.pictures.entities import Mark

Kind = Literal["entities", "categories", "tags"]
_LONGEST_EXCERPT = 600


class Excerpt(NamedTuple):
    """A piece of a text with what is marked in it.

    Attributes:
        caption: What it shows.
        text: The piece; an ellipsis stands where the text goes on.
        marks: What is marked, counted in the characters of the piece.
    """

    caption: str
    text: str
    marks: tuple[Mark, ...] = ()


class Mistake(NamedTuple):
    """A wrong answer.

    Attributes:
        prob: How sure the component was.
        what: What is wrong, in a line.
        excerpts: The text, with what stands in the gold annotation and what was predicted.
    """

    prob: float
    what: str
    excerpts: tuple[Excerpt, ...]


class Level(NamedTuple):
    """What is counted.

    Attributes:
        name: Such as `entities` or `tokens`.
        counts: Answers by label.
        accuracy: Whether answers are right, whatever their label; nothing where that has no meaning.
        accuracy_name: What is right then, such as `texts with the right class`.
    """

    name: str
    counts: Counts
    accuracy: Counts | None = None
    accuracy_name: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """What one component has to show.

    Attributes:
        component: Its name.
        factory: What made it, such as `bert_ner`.
        kind: What it writes.
        levels: What was counted, the most important level first.
        confusion: What was taken for what; nothing for labels that may hold together.
        kinds_by_label: Of entities, how often each label was met with each kind of error; of a spurious entity the
            label is the predicted one.
        probs: `(n,)` the probabilities of its answers; empty where it gives none.
        is_right: `(n,)` whether each is right.
        mistakes: Wrong answers that have a probability, the surest first, at most one of each document.
        notes: What to know when reading the figures.
    """

    component: str
    factory: str
    kind: Kind
    levels: tuple[Level, ...]
    confusion: Confusion | None
    kinds_by_label: dict[str, dict[str, int]]
    probs: Floats
    is_right: NDArray[np.bool_]
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]

    @property
    def has_gold(self) -> bool:
        """Whether the annotation of any document says anything."""
        return bool(self.levels[0].counts.is_known.any())


def cut_excerpt(caption: str, text: str, marks: tuple[Mark, ...], char_start: int, char_end: int) -> Excerpt:
    """Cut a text around a range of characters, so that no mark is cut through.

    Args:
        caption: What the excerpt shows.
        text: The whole text.
        marks: What is marked in it.
        char_start: Where the range begins.
        char_end: Where it ends.
    """
    room = max(0, _LONGEST_EXCERPT - (char_end - char_start)) // 2
    start, end = max(0, char_start - room), min(len(text), char_end + room)
    for mark in marks:
        if mark.char_start < start < mark.char_end:
            start = mark.char_start
        if mark.char_start < end < mark.char_end:
            end = mark.char_end
    before, after = "… " * (start > 0), " …" * (end < len(text))
    shift = len(before) - start
    kept = tuple(
        Mark(mark.char_start + shift, mark.char_end + shift, mark.label)
        for mark in marks
        if start <= mark.char_start and mark.char_end <= end
    )
    return Excerpt(caption, f"{before}{text[start:end]}{after}", kept)


def pick_surest(mistakes_by_doc: list[list[Mistake]], n_mistakes: int) -> tuple[Mistake, ...]:
    """Pick the surest mistake of each document, and of these the surest."""
    surest = [max(mistakes, key=lambda mistake: mistake.prob) for mistakes in mistakes_by_doc if mistakes]
    return tuple(sorted(surest, key=lambda mistake: -mistake.prob)[:n_mistakes])
