"""How much each word weighs in an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.explain.fragment import render
from spacy_bertft.explain.gradients import METHODS, Method

__all__ = ["METHODS", "Attribution", "Method"]


@dataclass(frozen=True)
class Attribution:
    """How much each token of a document weighs in an answer. A notebook shows it as shaded words.

    Attributes:
        words: `(T,)` the tokens.
        spaces: `(T,)` the whitespace behind each.
        weights: `(T,)` how much each counts: with gradients above 0 for the answer, below 0 against it; with attention
            a share of the whole.
        target: The label that is explained.
        entity: First token of the entity that is explained, and one past its last; nothing for a category.
        component: Name of the component that gave the answer.
        method: How the weights were found: `attention`, `rollout` or `gradients`.
        prob: The probability of the answer; nothing for an entity that the component did not find.
        score: The score of the answer before it is made a probability: the logit of a category, the sum of the scores
            of an entity's tags.
        baseline_score: The same without the words; nothing where no gradients were taken.
        outside: The weight that lies on no token but on special pieces; 0 with gradients.
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

    @property
    def completeness_gap(self) -> float | None:
        """How far the sum of the weights is from the difference of the two scores, as a share of that difference.

        Nothing where no gradients were taken; infinite where there is no difference to be shared out, but weights.

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
        return [("word", "weight"), *((self.words[index], self.format_weight(index)) for index in order)]

    def format_weight(self, index: int) -> str:
        """Format the weight of a token, with its sign where there is one to know."""
        return f"{self.weights[index]:{'+' if self.method == 'gradients' else ''}.4f}"

    def __str__(self) -> str:
        answer = self.target
        if self.entity is not None:
            answer = f"{self.target} “{self._read_entity()}”"
        prob = "" if self.prob is None else f", {100 * self.prob:.1f} %"
        notes = [f"{answer}{prob} ({self.component}, {self.method})"]
        if self.baseline_score is not None:
            notes.append(f"score {self.score:+.3f}, without the words {self.baseline_score:+.3f}")
            notes.append(f"completeness gap {100 * (self.completeness_gap or 0.0):.2f} %")
        elif self.outside:
            notes.append(f"{100 * self.outside:.1f} % on special pieces")
        return "; ".join(notes)

    def _read_entity(self) -> str:
        start, end = self.entity or (0, 0)
        pairs = zip(self.words[start:end], self.spaces[start:end], strict=True)
        return "".join(word + space for word, space in pairs).strip()

    def _repr_html_(self) -> str:
        return render(self)
