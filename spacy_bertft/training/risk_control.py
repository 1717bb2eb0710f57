"""Conformal risk control: the highest threshold at which no more of the gold annotation is missed than promised.

What is promised is a mean over documents that have any gold annotation, and over draws of those that the threshold is
fitted on. Documents without any would count as complete whatever is found, so they are left out: the promise is the
stronger one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# So that rounding does not drop the one that the threshold was fitted on.
_MARGIN = 1e-6
_ROUNDING = 1e-9  # of 1 − recall


@dataclass(frozen=True)
class GoldProbs:
    """What a component says of the gold annotation of documents that it was not trained on.

    Attributes:
        probs: `(G,)` the probability of each gold entity or category; 0 for one that can be no candidate.
        doc: `(G,)` the document of each.
        n_docs: How many documents there are, with or without any.
        count_candidates: From a threshold to the number of candidates in all documents.
    """

    probs: Floats
    doc: NDArray[np.intp]
    n_docs: int
    count_candidates: Callable[[float], int]

    def compute_recall(self, threshold: float) -> float:
        """Compute the mean recall of the documents that have any gold annotation; not a number if none has."""
        doc, counts = _count_by_doc(self.doc)
        return float(np.sum((self.probs >= threshold) / counts[doc]) / len(counts)) if len(counts) else math.nan


def join_gold_probs(parts: Sequence[GoldProbs]) -> GoldProbs:
    """Concatenate the documents of several batches."""
    first = np.cumsum([0, *(part.n_docs for part in parts)])
    return GoldProbs(
        np.concatenate([np.zeros(0), *(part.probs for part in parts)]),
        np.concatenate([first[:0], *(part.doc + offset for part, offset in zip(parts, first, strict=False))]),
        int(first[-1]),
        lambda threshold: sum(part.count_candidates(threshold) for part in parts),
    )


def fit_threshold(gold: GoldProbs, recall: float) -> float | None:
    """Fit the highest threshold at which candidates have at least some expected recall.

    With one gold category for each document, it is that of split conformal prediction.

    Args:
        gold: Of documents like those to come.
        recall: The share of the gold annotation of a document that is to be found, above 0 and below 1.

    Returns:
        The threshold, just below the probability of something; None where there is none.

    Source: Angelopoulos, Bates, Fisch, Lei & Schuster (2022), Conformal Risk Control, eq. 4, with the share that is
        missed as the loss, which is at most 1.

    Example:
        >>> gold = GoldProbs(np.array([0.9, 0.2, 0.7, 0.8]), np.array([0, 1, 2, 3]), 4, lambda _: 0)
        >>> [round(fit_threshold(gold, recall) or 0, 3) for recall in (0.5, 0.6, 0.8)]
        [0.7, 0.7, 0.2]
        >>> fit_threshold(gold, 0.9) is None
        True
    """
    doc, counts = _count_by_doc(gold.doc)
    order = np.argsort(gold.probs)
    probs = gold.probs[order]
    # What is lost, summed over the documents, with the first k probabilities below the threshold.
    lost = np.append(0.0, np.cumsum(1 / counts[doc[order]]))[np.searchsorted(probs, probs)]
    is_allowed = (probs > 0) & (lost + 1 <= (len(counts) + 1) * (1 - recall) + _ROUNDING)
    return float(probs[is_allowed].max()) * (1 - _MARGIN) if is_allowed.any() else None


def count_needed(gold: GoldProbs, recall: float) -> int | None:
    """Count the documents with gold annotation that a threshold takes; None if no number is enough.

    It is by the share that can be no candidate, held to be the same in further documents.
    """
    never = 1 - gold.compute_recall(math.ulp(0.0)) if len(gold.doc) else 0.0
    margin = 1 - recall - never
    return math.ceil(recall / margin - _ROUNDING) if margin > _ROUNDING else None


def _count_by_doc(doc: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the documents that have any gold annotation, `(G,)`, and count how much each has."""
    _, index, counts = np.unique(doc, return_inverse=True, return_counts=True)
    return index, counts
