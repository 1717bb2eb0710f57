"""spaCy's scores, and what they leave out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from spacy.language import Language
from spacy.scorer import Scorer
from spacy.training import Example

from spacy_bertft.components.calibration import measure_calibration_errors
from spacy_bertft.components.category_scores import UnknownLabelsWarning
from spacy_bertft.evaluate.categories import Categories, measure_categories
from spacy_bertft.evaluate.category_pipes import find_category_pipes


class CategoryScorer(Scorer):
    """spaCy's scorer, with the scores of categories counted as their confusion matrix is, by whatever scorer they have.

    `Language.evaluate` predicts on copies of the examples, which only its scorer gets to see.

    Attributes:
        categories: The figures of every component with categories, once there are scores.
        calibration_errors: The expected calibration error of every component of ours with probabilities, by name.
    """

    def __init__(self, nlp: Language) -> None:
        super().__init__(nlp)
        self.categories: list[Categories] = []
        self.calibration_errors: dict[str, float] = {}

    def score(self, examples: Iterable[Example], *, per_component: bool = False) -> dict[str, Any]:
        """Score examples, as spaCy does; `cats_by_component` tells several components with categories apart."""
        examples = list(examples)
        self.calibration_errors = measure_calibration_errors(self.nlp, examples)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownLabelsWarning)  # named by the notes on each component
            by_component = super().score(examples, per_component=True)
        pipes = [pipe for pipe in find_category_pipes(self.nlp) if "cats_f_per_type" in by_component.get(pipe.name, {})]
        for pipe in pipes:
            one = measure_categories(pipe, examples)
            by_component[pipe.name] = {**by_component[pipe.name], **one.scores}
            self.categories.append(one)
        if per_component:
            return by_component
        scores = {name: score for part in by_component.values() for name, score in part.items()}
        if len(pipes) > 1:
            scores["cats_by_component"] = {pipe.name: by_component[pipe.name] for pipe in pipes}
        return scores
