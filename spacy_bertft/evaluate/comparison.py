"""Two pipelines on the same documents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluate.bootstrap import Floats, Resampling, find_interval, find_p_value
from spacy_bertft.evaluate.counts import MEASURES, Counts, Figures, measure_figures
from spacy_bertft.evaluate.sections.section import Section

_F1 = MEASURES.index("F1")


@dataclass(frozen=True, eq=False)
class Difference:
    """How two pipelines differ in one figure.

    Attributes:
        name: The row: a label, or an average over labels.
        shares: The figure of each, not a number where it is not defined.
        difference: The first minus the second.
        interval: `(2,)` its 95 % interval.
        p_value: How often chance alone would make two equally good ones differ by as much.
    """

    name: str
    shares: tuple[float, float]
    difference: float
    interval: Floats
    p_value: float


def match_sections(
    first: list[Section], second: list[Section], names: tuple[str, str]
) -> list[tuple[Section, Section]]:
    """Find for every component of one pipeline the one of the other that does the same: by its name, or the only one.

    Args:
        first: The sections of one pipeline.
        second: Those of the other.
        names: What the two pipelines are called.

    Raises:
        SettingError: There is none, or several of other names.
    """
    pairs = []
    for section in first:
        alike = [each for each in second if each.factory == section.factory]
        named = [each for each in alike if each.component == section.component] or alike
        if len(named) != 1:
            found = ", ".join(f"{each.component} ({each.factory})" for each in second) or "none of ours"
            expected = f"a pipeline with one {section.factory} named '{section.component}', as in {names[0]}"
            raise SettingError("against", names[1], f"{expected}; it has {found}")
        pairs.append((section, named[0]))
    return pairs


def compare_f1(first: Counts, second: Counts, resampling: Resampling) -> list[Difference]:
    """Compare the F1 of two pipelines on the documents whose gold annotation both can be measured by.

    Both are measured on the same resampled documents, since the same seed draws the same.

    Args:
        first: The answers of one.
        second: Those of the other, to the same documents.
        resampling: Which documents are drawn.

    Returns:
        A difference for every row of the first that the second has too; for counts of shares these are accuracies.

    Source: the paired bootstrap of Koehn (2004), section 3.3.
    """
    is_known = first.is_known & second.is_known
    one, other = (measure_figures(replace(counts, is_known=is_known), resampling) for counts in (first, second))
    places = {name: place for place, name in enumerate(other.names)}
    # The averages come first; a label may bear the name of one.
    rows = [(row, row if row < 2 else places.get(name)) for row, name in enumerate(one.names)]
    return [_compare(one, other, row, place) for row, place in rows if place is not None and (row < 2) == (place < 2)]


def _compare(one: Figures, other: Figures, row: int, place: int) -> Difference:
    shares = (float(one.shares[row, _F1]), float(other.shares[place, _F1]))
    samples = one.samples[:, row, _F1] - other.samples[:, place, _F1]
    difference = float(np.subtract(*shares))
    return Difference(one.names[row], shares, difference, find_interval(samples), find_p_value(difference, samples))
