"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# More columns than this do not fit on a terminal; the most frequent mistakes are listed instead.
_MAX_COLUMNS = 12
_N_MISTAKES = 15


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix.

    Attributes:
        labels: The classes, `L` of them.
        counts: `(L, L)` documents; rows are the gold class, columns the predicted one.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def n_docs(self) -> int:
        """The number of documents."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """The share of documents whose class is right, or None where there are no documents."""
        return int(np.trace(self.counts)) / self.n_docs if self.n_docs else None

    @property
    def support(self) -> dict[str, int]:
        """The number of documents by gold class."""
        return dict(zip(self.labels, self.counts.sum(axis=1).tolist(), strict=True))

    @property
    def row_shares(self) -> NDArray[np.float64]:
        """`(L, L)` shares of the documents of a gold class; 0 in the row of a class without any."""
        n_gold = self.counts.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = self.counts / np.maximum(n_gold, 1)
        return shares

    def to_json(self) -> dict[str, Any]:
        """Give the labels and the matrix as lists."""
        return {"labels": list(self.labels), "matrix": self.counts.tolist()}

    def format_rows(self) -> list[tuple[str, ...]]:
        """Lay out the matrix; of many classes, the most frequent mistakes. Empty where there are none of these."""
        return self._format_matrix() if len(self.labels) <= _MAX_COLUMNS else self._format_mistakes()

    def _format_matrix(self) -> list[tuple[str, ...]]:
        rows = [("gold \\ predicted", *self.labels)]
        for label, counts in zip(self.labels, self.counts, strict=True):
            rows.append((label, *(f"{count:,}" for count in counts)))
        return rows

    def _format_mistakes(self) -> list[tuple[str, ...]]:
        mistakes = self.counts * ~np.eye(len(self.labels), dtype=bool)
        # Stable, so that of equally frequent mistakes the first by label comes first.
        order = np.argsort(-mistakes, axis=None, kind="stable")[: min(_N_MISTAKES, np.count_nonzero(mistakes))]
        rows = []
        for row, column in zip(*np.unravel_index(order, mistakes.shape), strict=True):
            share = f"{100 * self.row_shares[row, column]:.2f}"
            rows.append((self.labels[row], self.labels[column], f"{mistakes[row, column]:,}", share))
        return [("most frequent mistakes: gold", "predicted", "documents", "% of gold"), *rows] if rows else []


def count_confusions(labels: Sequence[str], pairs: Iterable[tuple[str, str]]) -> Confusion:
    """Count which class was taken for which.

    Args:
        labels: All classes.
        pairs: The gold and the predicted class of each document.

    Example:
        >>> count_confusions(["ham", "spam"], [("ham", "ham"), ("ham", "spam"), ("spam", "spam")]).counts.tolist()
        [[1, 1], [0, 1]]
    """
    index = {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for gold, predicted in pairs:
        counts[index[gold], index[predicted]] += 1
    return Confusion(tuple(labels), counts)
