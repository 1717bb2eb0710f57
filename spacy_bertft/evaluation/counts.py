"""Predictions counted by document and label, the figures that follow from them, and those of two pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.evaluation.bootstrap import Floats, Resampling, compute_interval, compute_p_value

# The gold label and the predicted one; None for no label.
Pair = tuple[str | None, str | None]

MICRO, MACRO = "micro average", "macro average"
MEASURES = ("precision", "recall", "F1")
F1 = MEASURES.index("F1")
_SHARES = ("",)  # the one label of counts of shares


@dataclass(frozen=True, eq=False)
class Counts:
    """Predictions by document and label.

    Attributes:
        labels: The labels.
        by_doc: `(D, 3, L)` how many predictions of each document are correct, how many there are, and the support: how
            many the gold annotation has.
        is_known: `(D,)` whether the gold annotation of a document says anything; the others have zeros.
    """

    labels: tuple[str, ...]
    by_doc: NDArray[np.int64]
    is_known: NDArray[np.bool_]


def count_pairs(labels: Sequence[str], docs: Sequence[Iterable[Pair] | None]) -> Counts:
    """Count predictions.

    Args:
        labels: What is counted; other labels count as None.
        docs: The pairs of each document, or None where its gold annotation says nothing.

    Example:
        >>> count_pairs(["a", "b"], [[("a", "a"), ("b", "a"), (None, "b")], None]).by_doc[0].tolist()
        [[1, 0], [2, 1], [1, 1]]
    """
    index = {label: place for place, label in enumerate(labels)}
    by_doc = np.zeros((len(docs), 3, len(index)), dtype=np.int64)
    for counts, doc in zip(by_doc, docs, strict=True):
        for gold, predicted in doc or ():
            if gold in index:
                counts[2, index[gold]] += 1
                counts[0, index[gold]] += gold == predicted
            if predicted in index:
                counts[1, index[predicted]] += 1
    return Counts(tuple(labels), by_doc, np.array([doc is not None for doc in docs], dtype=np.bool_))


def count_shares(is_correct: Sequence[Sequence[bool] | None]) -> Counts:
    """Count how many of the predictions for a document are correct, whatever their label: precision is accuracy then.

    Args:
        is_correct: Whether each prediction for each document is correct, or None where the annotation says nothing.
    """
    known = [doc or () for doc in is_correct]
    # (D, 3, 1): as many predictions as there are in the gold annotation.
    by_doc = np.array([[[sum(doc)], [len(doc)], [len(doc)]] for doc in known], dtype=np.int64).reshape(-1, 3, 1)
    return Counts(_SHARES, by_doc, np.array([doc is not None for doc in is_correct], dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class Figures:
    """Precision, recall and F1 with what they would be on resampled documents.

    Attributes:
        names: `N` rows: micro average, macro average, each label.
        support: `(N,)` how many the gold annotation has.
        shares: `(N, 3)` from 0 to 1; not a number where nothing was predicted, or the annotation has nothing.
        samples: `(R, N, 3)` the same of each resample.
    """

    names: tuple[str, ...]
    support: NDArray[np.int64]
    shares: Floats
    samples: Floats

    @cached_property
    def intervals(self) -> Floats:
        """`(N, 3, 2)` 95 % intervals."""
        return compute_interval(self.samples)


def measure_figures(counts: Counts, resampling: Resampling) -> Figures:
    """Measure precision, recall and F1.

    Documents of which the annotation says nothing are not drawn. As in scikit-learn, a label that is undefined over
    all documents counts as 0 in the macro average; one that only a resample lacks is left out of that average there.

    Args:
        counts: The predictions.
        resampling: Which documents are drawn.
    """
    known = counts.by_doc[counts.is_known]
    totals = known.sum(axis=0)
    drawn = resampling.sum(known.reshape(len(known), totals.size)).reshape(resampling.n_resamples, *totals.shape)
    is_never = np.isnan(_divide(totals))
    support = totals[2]
    return Figures(
        names=(MICRO, MACRO, *counts.labels),
        support=np.array([support.sum(), support.sum(), *support.tolist()]),
        shares=_stack_rows(totals, is_never),
        samples=_stack_rows(drawn, is_never),
    )


def _stack_rows(totals: NDArray[np.int64] | Floats, is_never: NDArray[np.bool_]) -> Floats:
    """Compute all rows, `(…, 2 + L, 3)`, from `(…, 3, L)` counts."""
    by_label = _divide(totals)
    overall = _divide(totals.sum(axis=-1, keepdims=True))
    counted = np.ma.masked_invalid(np.where(is_never, 0.0, by_label))
    mean = np.ma.filled(counted.mean(axis=-2, keepdims=True), np.nan)
    return np.concatenate([overall, mean, by_label], axis=-2)


def _divide(totals: NDArray[np.int64] | Floats) -> Floats:
    """Compute precision, recall and F1, `(…, L, 3)`, from `(…, 3, L)` counts."""
    correct, predicted, gold = np.moveaxis(totals, -2, 0)
    with np.errstate(invalid="ignore"):
        return np.stack([correct / predicted, correct / gold, 2 * correct / (predicted + gold)], axis=-1)


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


def measure_difference(name: str, shares: tuple[float, float], samples: Floats) -> Difference:
    """Measure how two pipelines differ in one figure.

    Args:
        name: The row.
        shares: The figure of each.
        samples: `(R,)` the differences of the resamples.
    """
    difference = shares[0] - shares[1]
    return Difference(name, shares, difference, compute_interval(samples), compute_p_value(difference, samples))


def compare_f1(first: Counts, second: Counts, resampling: Resampling) -> list[Difference]:
    """Compare the F1 of two pipelines on the documents whose gold annotation both can be measured by.

    Both are measured on the same resampled documents, since the same seed draws the same.

    Args:
        first: The predictions of one.
        second: Those of the other, for the same documents.
        resampling: Which documents are drawn.

    Returns:
        A difference for every row of the first that the second has too; of counts of shares only the accuracy.

    Source: the paired bootstrap of Koehn (2004), section 3.3.
    """
    is_known = first.is_known & second.is_known
    one, other = (measure_figures(replace(counts, is_known=is_known), resampling) for counts in (first, second))
    places = {name: place for place, name in enumerate(other.names)}
    # The averages come first; a label may have the name of one.
    rows = [(row, row if row < 2 else places.get(name)) for row, name in enumerate(one.names)]
    found = []
    for row, place in rows:
        if place is not None and (row < 2) == (place < 2):
            shares = (float(one.shares[row, F1]), float(other.shares[place, F1]))
            samples = one.samples[:, row, F1] - other.samples[:, place, F1]
            found.append(measure_difference(one.names[row], shares, samples))
    return found if first.labels != _SHARES else [replace(found[0], name="accuracy")]
