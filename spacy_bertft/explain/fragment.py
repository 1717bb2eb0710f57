"""Words shaded by weight, as a piece of HTML for notebooks and pages."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.pictures.colors import COLORS

# Strong enough to be seen, weak enough for words on it: the contrast stays above 4.5, on a light and on a dark page.
MAX_ALPHA = 0.5
FOR, AGAINST = COLORS["bar"], COLORS["mark"]
_FAINT = 0.05  # of the largest weight; less is not shaded
_WORD = "border-radius: .25em; padding: .1em .15em; color: inherit;"


class WeighedWords(Protocol):
    """What can be drawn: the part of an `Attribution` that is seen; its text is the caption."""

    @property
    def words(self) -> tuple[str, ...]:
        """`(T,)` the tokens."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """`(T,)` the whitespace behind each."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """`(T,)` how much each counts."""

    @property
    def entity(self) -> tuple[int, int] | None:
        """First token of the entity that is explained, and one past its last."""

    def format_weight(self, index: int) -> str:
        """Format the weight of a token."""


def render(attributions: WeighedWords | Iterable[WeighedWords]) -> str:
    """Render one explanation or several as HTML that carries its own style and follows a light or dark page.

    Blue words count for the answer, orange and dotted ones against it; the darker, the more. An entity that is
    explained has a frame. A pointer that rests on a word shows its weight.
    """
    several = attributions if isinstance(attributions, Iterable) else [attributions]
    return "\n".join(_render_one(each) for each in several)


def _render_one(attribution: WeighedWords) -> str:
    note = f'<div style="font-size: .85em; opacity: .75;">{escape(str(attribution))}</div>'
    parts = f"{note}\n{render_words(attribution)}"
    return f'<div class="spacy-bertft-explanation" style="margin: 0 0 1.5em;">\n{parts}\n</div>'


def render_words(attribution: WeighedWords) -> str:
    """Render the words alone."""
    shades = measure_shades(attribution)
    parts = []
    for index, (word, space) in enumerate(zip(attribution.words, attribution.spaces, strict=True)):
        style = _format_style(shades[index], is_entity=_is_inside(index, attribution.entity))
        title = attribution.format_weight(index)
        parts.append(
            (f'<span style="{style}" title="{title}">{escape(word)}</span>' if style else escape(word)) + space
        )
    words = "".join(parts)
    return f'<div style="line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere;">{words}</div>'


def measure_shades(attribution: WeighedWords) -> list[float]:
    """Scale weights so that the largest is 1 or −1; those that hardly count are 0, as is whitespace."""
    is_word = np.array([bool(word.strip()) for word in attribution.words], dtype=np.bool_)
    weights = np.where(is_word, attribution.weights, 0.0)
    shades = weights / (np.abs(weights).max(initial=0.0) or 1.0)
    scaled: list[float] = np.where(np.abs(shades) < _FAINT, 0.0, shades).tolist()
    return scaled


def format_legend(*, has_against: bool) -> str:
    """Format what the two colours mean."""
    names = [("for the answer", 1.0), ("against it", -1.0)][: 1 + has_against]
    return " ".join(f'<span style="{_format_style(shade, is_entity=False)}">{name}</span>' for name, shade in names)


def _format_style(shade: float, *, is_entity: bool) -> str:
    parts = []
    if shade:
        red, green, blue = (int((FOR if shade > 0 else AGAINST)[i : i + 2], 16) for i in (1, 3, 5))
        parts.append(f"background: rgba({red}, {green}, {blue}, {abs(shade) * MAX_ALPHA:.3f});")
        if shade < 0:
            parts.append("text-decoration: underline dotted; text-underline-offset: .25em;")
    if is_entity:
        parts.append("outline: 1.5px solid currentColor;")
    return " ".join([*parts, _WORD]) if parts else ""


def _is_inside(index: int, entity: tuple[int, int] | None) -> bool:
    return entity is not None and entity[0] <= index < entity[1]
