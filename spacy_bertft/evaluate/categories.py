"""How good a component is at categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.training import Example

from spacy_bertft.components.category_scores import measure_classes, measure_labels
from spacy_bertft.evaluate.category_pipes import CategoryPipe
from spacy_bertft.evaluate.confusion import Confusion


@dataclass(frozen=True, eq=False)
class Categories:
    """How good one component is at categories.

    Attributes:
        pipe: The component.
        scores: Its scores under the names of spaCy, shares between 0 and 1.
        accuracy: The share of documents whose class is right or, where labels do not exclude each other, of which all
            labels with a gold value are right; None where no document has one.
        support: Documents by gold label. Labels that no component of the pipeline has come last.
        n_unknown: Documents without a gold label of this component, which its scores leave out.
        confusion: Which class was taken for which; None where labels do not exclude each other.
        unknown_labels: Documents by gold label that no component of the pipeline has.
    """

    pipe: CategoryPipe
    scores: Mapping[str, Any]
    accuracy: float | None
    support: Mapping[str, int]
    n_unknown: int
    confusion: Confusion | None = None
    unknown_labels: Mapping[str, int] = field(default_factory=dict)


def measure_categories(pipe: CategoryPipe, examples: Sequence[Example]) -> Categories:
    """Measure how good a component is, whatever scorer it has.

    Args:
        pipe: The component.
        examples: With predictions.

    Raises:
        DataError: The component has predicted no class for a document that has one.
    """
    if pipe.is_exclusive:
        measured = measure_classes(examples, pipe.labels, pipe.positive_label)
    else:
        measured = measure_labels(examples, pipe.labels, pipe.threshold)
    scores, matrix = measured.scores, measured.scores["cats_confusion"]
    return Categories(
        pipe=pipe,
        scores=scores,
        accuracy=scores["cats_accuracy"],
        support=scores["cats_support"],
        n_unknown=measured.n_unlabelled,
        confusion=matrix and Confusion(tuple(matrix["labels"]), np.array(matrix["matrix"], dtype=np.int64)),
        unknown_labels=measured.unknown_labels,
    )
