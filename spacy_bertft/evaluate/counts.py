"""Answers counted by document and label, and the figures that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.evaluate.bootstrap import Floats, Resampling, find_interval

# What the annotation says and what was predicted; nothing stands for no label.
Answer = tuple[str | None, str | None]

ALL, MEAN = "all", "mean of the labels"
MEASURES = ("precision", "recall", "F1")


@dataclass(frozen=True, eq=False)
class Counts:
    """Answers by document and label.

    Attributes:
        labels: The labels.
        by_doc: `(D, 3, L)` how many answers of each document are right, how many were predicted, and how many stand in
            the gold annotation.
        is_known: `(D,)` whether the gold annotation of a document says anything; the others hold zeros.
    """

    labels: tuple[str, ...]
    by_doc: NDArray[np.int64]
    is_known: NDArray[np.bool_]

    @property
    def n_gold(self) -> NDArray[np.int64]:
        """`(L,)` how often each label stands in the gold annotation."""
        n_gold: NDArray[np.int64] = self.by_doc[:, 2].sum(axis=0)
        return n_gold


def count_answers(labels: Sequence[str], answers: Sequence[Iterable[Answer] | None]) -> Counts:
    """Count answers.

    Args:
        labels: What is counted; answers with other labels count as none.
        answers: The answers of each document, or nothing where its gold annotation says nothing.

    Example:
        >>> count_answers(["a", "b"], [[("a", "a"), ("b", "a"), (None, "b")], None]).by_doc[0].tolist()
        [[1, 0], [2, 1], [1, 1]]
    """
    index = {label: place for place, label in enumerate(labels)}
    by_doc = np.zeros((len(answers), 3, len(index)), dtype=np.int64)
    for counts, doc in zip(by_doc, answers, strict=True):
        for gold, predicted in doc or ():
            if gold in index:
                counts[2, index[gold]] += 1
                counts[0, index[gold]] += gold == predicted
            if predicted in index:
                counts[1, index[predicted]] += 1
    return Counts(tuple(labels), by_doc, np.array([doc is not None for doc in answers], dtype=np.bool_))


def count_shares(is_right: Sequence[Sequence[bool] | None]) -> Counts:
    """Count how many of the questions that a document asks were answered rightly: precision is accuracy then.

    Args:
        is_right: For each document whether each answer is right, or nothing where its annotation says nothing.
    """
    answers = [None if doc is None else [("", "" if right else None) for right in doc] for doc in is_right]
    counts = count_answers([""], answers)
    counts.by_doc[:, 1] = counts.by_doc[:, 2]
    return counts


@dataclass(frozen=True, eq=False)
class Figures:
    """Precision, recall and F1 with what they would be on resampled documents.

    Attributes:
        names: `N` rows: all labels together (micro average), the mean of the labels (macro average), each label.
        n_gold: `(N,)` how many answers the gold annotation holds.
        shares: `(N, 3)` from 0 to 1; not a number where nothing was predicted, or nothing stands in the annotation.
        samples: `(R, N, 3)` the same of each resample.
    """

    names: tuple[str, ...]
    n_gold: NDArray[np.int64]
    shares: Floats
    samples: Floats

    @cached_property
    def intervals(self) -> Floats:
        """`(N, 3, 2)` 95 % intervals."""
        return find_interval(self.samples)


def measure_figures(counts: Counts, resampling: Resampling) -> Figures:
    """Measure precision, recall and F1.

    Documents of which the annotation says nothing are not drawn. As in scikit-learn, a label that is undefined over
    all documents counts as 0 in the mean of the labels; one that only a resample lacks is left out of that mean there.

    Args:
        counts: The answers.
        resampling: Which documents are drawn.
    """
    known = counts.by_doc[counts.is_known]
    totals = known.sum(axis=0)
    drawn = resampling.sum(known.reshape(len(known), totals.size)).reshape(resampling.n_resamples, *totals.shape)
    is_never = np.isnan(_divide(totals))
    n_gold = totals[2]
    return Figures(
        names=(ALL, MEAN, *counts.labels),
        n_gold=np.array([n_gold.sum(), n_gold.sum(), *n_gold.tolist()]),
        shares=_stack_rows(totals, is_never),
        samples=_stack_rows(drawn, is_never),
    )


def _stack_rows(totals: NDArray[np.int64] | Floats, is_never: NDArray[np.bool_]) -> Floats:
    """Compute all rows, `(…, 2 + L, 3)`, from `(…, 3, L)` counts."""
    by_label = _divide(totals)
    overall = _divide(totals.sum(axis=-1, keepdims=True))
    counted = np.where(is_never, 0.0, by_label)
    is_defined = ~np.isnan(counted)
    n_defined = is_defined.sum(axis=-2, keepdims=True)
    sums = np.where(is_defined, counted, 0.0).sum(axis=-2, keepdims=True)
    mean = np.where(n_defined, sums / np.maximum(n_defined, 1), np.nan)
    return np.concatenate([overall, mean, by_label], axis=-2)


def _divide(totals: NDArray[np.int64] | Floats) -> Floats:
    """Compute precision, recall and F1, `(…, L, 3)`, from `(…, 3, L)` counts."""
    right, predicted, gold = np.moveaxis(totals, -2, 0)
    with np.errstate(invalid="ignore"):
        return np.stack([right / predicted, right / gold, 2 * right / (predicted + gold)], axis=-1)
