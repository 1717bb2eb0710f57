"""Words shaded by weight, for a terminal."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from spacy_bertft.explain.attribution import Attribution
from spacy_bertft.explain.fragment import measure_shades

# Named colours, which every theme of a terminal has chosen to be readable.
_FOR, _AGAINST = "cyan", "magenta"
_STRONG, _WEAK = 0.6, 0.2  # of the largest weight


def shade_words(attribution: Attribution) -> Text:
    """Shade words: cyan for the answer, magenta against it, bold where they count most, dim where they hardly do.

    The words of an entity that is explained are underlined.
    """
    text = Text()
    words = zip(attribution.words, attribution.spaces, measure_shades(attribution), strict=True)
    start, end = attribution.entity or (0, 0)
    for index, (word, space, shade) in enumerate(words):
        strength = abs(shade)
        style = Style(
            color=(_FOR if shade > 0 else _AGAINST) if strength >= _WEAK else None,
            bold=strength >= _STRONG,
            dim=strength < _WEAK,
            underline=start <= index < end,
        )
        text.append(word, style).append(space)
    return text
