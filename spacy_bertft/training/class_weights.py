"""How much each label counts in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import SettingError


def find_class_weights(
    setting: str | Mapping[str, float],
    labels: Sequence[str],
    counts: Sequence[float],
    n_known: Sequence[float],
    *,
    exclusive: bool,
) -> NDArray[np.float64]:
    """Find the weight of every label.

    Args:
        setting: `"none"`, `"balanced"`, or a weight for some labels; the others then have 1.
        labels: The labels.
        counts: `(L,)` documents that have each label.
        n_known: `(L,)` documents of which it is known whether they have it; looked at only where labels may hold
            together.
        exclusive: Whether a document has one label. Balanced weights are then as if all labels were equally frequent;
            if not, as if each label held as often as not.

    Returns:
        `(L,)` weights.

    Raises:
        SettingError: The setting is none of these, or names a label that does not exist.

    Example:
        >>> find_class_weights("balanced", ["ham", "spam"], [75, 25], [100, 100], exclusive=True).round(2).tolist()
        [0.67, 2.0]

    Source: King & Zeng (2001), as in scikit-learn's `compute_class_weight`.
    """
    if setting == "none":
        return np.ones(len(labels))
    if setting == "balanced":
        found = np.asarray(counts, dtype=np.float64)
        frequency = np.maximum(found, 1.0)
        if exclusive:
            return np.asarray(found.sum() / (len(labels) * frequency))
        return np.asarray(np.maximum(np.asarray(n_known) - found, 1.0) / frequency)
    if isinstance(setting, str):
        raise SettingError("class_weights", setting, "none, balanced, or a weight for each label")
    for label, weight in setting.items():
        if label not in labels or weight < 0:
            raise SettingError("class_weights", {label: weight}, f"weights from 0 on for {', '.join(labels)}")
    return np.array([setting.get(label, 1.0) for label in labels])
