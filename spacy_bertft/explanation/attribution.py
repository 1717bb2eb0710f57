"""How much each word weighs in a prediction, as numbers, as HTML and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

from spacy_bertft.explanation.gradients import Method
from spacy_bertft.pictures.page import get_environment

_FAINT = 0.05  # of the largest weight; less is not shaded

# In a terminal: named colours, which every theme has chosen to be readable, and shares of the largest weight.
_FOR, _AGAINST = "cyan", "magenta"
_STRONG, _WEAK = 0.6, 0.2


class Word(NamedTuple):
    """A token as it is drawn.

    Attributes:
        text: The token.
        space: The whitespace behind it.
        weight: Its weight as text.
        shade: From −1 to 1: its weight as a share of the largest; 0 if it hardly counts.
        is_inside: Whether it is part of the entity that is explained.
    """

    text: str
    space: str
    weight: str
    shade: float
    is_inside: bool


@dataclass(frozen=True)
class Attribution:
    """How much each token of a document weighs in a prediction. A notebook shows it as shaded words.

    Attributes:
        words: `(T,)` the tokens.
        spaces: `(T,)` the whitespace behind each.
        weights: `(T,)` how much each counts: with gradients above 0 for the prediction, below 0 against it; with
            attention a share of the whole.
        target: The label that is explained.
        entity: First token of the entity that is explained, and one past its last; None for a category.
        component: Name of the component that made the prediction.
        method: How the weights were computed: `attention`, `rollout` or `gradients`.
        prob: The probability of the prediction; None for an entity that the component did not find.
        score: The score of the prediction before it is made a probability: the logit of a category, the sum of the
            scores of an entity's tags.
        baseline_score: The same without the words; None where no gradients were computed.
        outside: The weight that belongs to no token but to special subword tokens; 0 with gradients.
        value: The predicted number; None where something else is explained.
    """

    words: tuple[str, ...]
    spaces: tuple[str, ...]
    weights: NDArray[np.float64]
    target: str
    entity: tuple[int, int] | None
    component: str
    method: Method
    prob: float | None
    score: float
    baseline_score: float | None
    outside: float
    value: float | None = None

    @property
    def completeness_gap(self) -> float | None:
        """How far the sum of the weights is from the difference of the two scores, as a share of that difference.

        None where no gradients were computed; infinite where the weights are not 0 but the difference is.

        Source: Sundararajan et al. (2017), the axiom of completeness.
        """
        if self.baseline_score is None:
            return None
        difference = self.score - self.baseline_score
        gap = abs(float(self.weights.sum()) - difference)
        return gap / abs(difference) if difference else float("inf") if gap else 0.0

    def rank(self) -> list[int]:
        """List the tokens, those that count most first, for or against; whitespace is left out."""
        order = np.argsort(-np.abs(self.weights), kind="stable").tolist()
        return [index for index in order if self.words[index].strip()]

    def format_rows(self, n_words: int | None = None) -> list[tuple[str, ...]]:
        """Lay out words and weights: those that count most, or all in the order of the text."""
        order = self.rank()[:n_words] if n_words is not None else sorted(self.rank())
        return [("word", "weight"), *((self.words[index], self._format_weight(index)) for index in order)]

    def list_words(self) -> list[Word]:
        """List the words with their shades. Whitespace is not shaded."""
        is_word = np.array([bool(word.strip()) for word in self.words], dtype=np.bool_)
        weights = np.where(is_word, self.weights, 0.0)
        shades = weights / (np.abs(weights).max(initial=0.0) or 1.0)
        shades[np.abs(shades) < _FAINT] = 0.0
        start, end = self.entity or (0, 0)
        return [
            Word(word, space, self._format_weight(index), shade, start <= index < end)
            for index, (word, space, shade) in enumerate(zip(self.words, self.spaces, shades.tolist(), strict=True))
        ]

    def _format_weight(self, index: int) -> str:
        return f"{self.weights[index]:{'+' if self.method == 'gradients' else ''}.4f}"

    @property
    def headline(self) -> str:
        """The prediction, with its probability or value."""
        explained = self.target
        if self.entity is not None:
            entity = "".join(word.text + word.space for word in self.list_words() if word.is_inside).strip()
            explained = f"{self.target} “{entity}”"
        if self.value is not None:
            return f"{explained} {self.value:.4g}"
        return explained if self.prob is None else f"{explained}, {100 * self.prob:.1f} %"

    @property
    def details(self) -> list[str]:
        """By which component and method, and how exactly."""
        notes = [f"{self.component}, {self.method}"]
        if self.baseline_score is not None:
            notes.append(f"score {self.score:+.3f}, without the words {self.baseline_score:+.3f}")
            notes.append(f"completeness gap {100 * (self.completeness_gap or 0.0):.2f} %")
        elif self.outside:
            notes.append(f"{100 * self.outside:.1f} % on special tokens")
        return notes

    def __str__(self) -> str:
        method, *notes = self.details
        return "; ".join([f"{self.headline} ({method})", *notes])

    def _repr_html_(self) -> str:
        return render(self)


def render(attributions: Attribution | Iterable[Attribution]) -> str:
    """Render one explanation or several as HTML that carries its own style and follows a light or dark page.

    Blue words count for the prediction, orange words with a dotted line against it; the darker, the more. The entity
    that is explained has a frame. Hovering over a word shows its weight.
    """
    several = attributions if isinstance(attributions, Iterable) else [attributions]
    # mypy does not see that a module of a template has its macros.
    explanation = get_environment().get_template("explanation/words.jinja").module.explanation  # type: ignore[attr-defined]
    return "\n".join(str(explanation(each)).strip() for each in several)


def shade_words(attribution: Attribution) -> Text:
    """Shade words for a terminal: cyan for the prediction, magenta against it, bold where they count most.

    Words that hardly count are dim. The words of an entity that is explained are underlined.
    """
    text = Text()
    for word in attribution.list_words():
        strength = abs(word.shade)
        style = Style(
            color=(_FOR if word.shade > 0 else _AGAINST) if strength >= _WEAK else None,
            bold=strength >= _STRONG,
            dim=strength < _WEAK,
            underline=word.is_inside,
        )
        text.append(word.text, style).append(word.space)
    return text
