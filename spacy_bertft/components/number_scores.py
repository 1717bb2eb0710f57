"""Scores of numbers: Pearson's and Spearman's correlation, and the mean squared error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from spacy_bertft.components.entity_scores import Scorer
from spacy_bertft.components.predictions import list_numbers
from spacy_bertft.errors import DataError, shorten

Floats = NDArray[np.float64]

MEASURES = ("pearson", "spearman", "mse")


def configure_number_scorer() -> Scorer:
    """Configure `spacy-bertft.number_scorer.v1`: correlations and mean squared errors of numbers."""
    return score_numbers


def score_numbers(examples: Iterable[Example], *, labels: Sequence[str], **cfg: Any) -> dict[str, Any]:
    """Score numbers of texts. A text without a gold value of a number is left out of that number.

    Args:
        examples: With predictions.
        labels: The names of the numbers.
        cfg: Other settings of the component, which make no difference.

    Returns:
        `numbers_pearson`, `numbers_spearman` and `numbers_mse`: means over the numbers; and `numbers_per_type`, the
        same for each, with `support`, its gold values. A score is None where it is not defined.

    Raises:
        DataError: A text has a gold value and no predicted one.
    """
    by_name = collect_numbers(examples, labels)
    per_type: dict[str, dict[str, float | None]] = {name: measure_numbers(*pair) for name, pair in by_name.items()}
    scores: dict[str, Any] = {}
    for measure in MEASURES:
        found = [value for each in per_type.values() if (value := each[measure]) is not None]
        scores[f"numbers_{measure}"] = sum(found) / len(found) if found else None
    return scores | {"numbers_per_type": per_type}


def collect_numbers(examples: Iterable[Example], labels: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
    """Collect gold and predicted values, `(B,)` each, by name of the number, where there is a gold value.

    Raises:
        DataError: A text has a gold value and no predicted one.
    """
    pairs: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for example in examples:
        predicted = {each.label: each for each in list_numbers("", labels, example)}
        for label in pairs.keys() & example.reference.cats.keys():
            if label not in predicted:
                raise DataError(
                    f"{shorten(repr(example.text))} has no predicted '{label}'. Let the pipeline annotate the text "
                    "before it is scored."
                )
            pairs[label].append((example.reference.cats[label], predicted[label].value or 0.0))
    return {
        label: (values[:, 0], values[:, 1])
        for label, each in pairs.items()
        for values in [np.array(each, dtype=np.float64).reshape(-1, 2)]
    }


def measure_numbers(gold: Floats, predicted: Floats) -> dict[str, float | None]:
    """Compute the scores of one number.

    Args:
        gold: `(B,)` gold values.
        predicted: `(B,)` predicted values.

    Returns:
        `pearson` and `spearman`, from −1 to 1: 0 if all predictions are the same, None if all gold values are, or there
        are none; `mse`, None if there are none; `support`.

    Example:
        >>> measure_numbers(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 9.0]))["spearman"]
        1.0
    """
    return {
        "pearson": correlate(gold, predicted),
        "spearman": correlate(rank(gold), rank(predicted)),
        "mse": float(np.mean((gold - predicted) ** 2)) if len(gold) else None,
        "support": len(gold),
    }


def correlate(gold: Floats, predicted: Floats) -> float | None:
    """Compute Pearson's correlation of two `(B,)` arrays; 0 if the second is constant, None if the first is."""
    if not len(gold) or gold.min() == gold.max():
        return None
    if predicted.min() == predicted.max():
        return 0.0
    return float(np.clip(np.corrcoef(gold, predicted)[0, 1], -1.0, 1.0))


def rank(values: Floats) -> Floats:
    """Rank values, `(B,)` → `(B,)`; equal ones have the mean of their ranks.

    Example:
        >>> rank(np.array([0.5, 2.0, 0.5])).tolist()
        [0.5, 2.0, 0.5]
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Floats = np.cumsum(counts) - (counts + 1) / 2
    return means[index.reshape(-1)]
