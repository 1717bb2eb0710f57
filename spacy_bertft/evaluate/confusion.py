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
        has_nothing: Whether the last class stands for none: its row holds what is spurious, its column what was missed.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    has_nothing: bool = False

    @property
    def row_names(self) -> tuple[str, ...]:
        """What the rows are called."""
        return (*self.labels[:-1], "spurious") if self.has_nothing else self.labels

    @property
    def column_names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return (*self.labels[:-1], "missed") if self.has_nothing else self.labels

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
        rows = [("gold \\ predicted", *self.column_names)]
        for label, counts in zip(self.row_names, self.counts, strict=True):
            rows.append((label, *(f"{count:,}" for count in counts)))
        return rows

    def _format_mistakes(self) -> list[tuple[str, ...]]:
        mistakes = self.counts * ~np.eye(len(self.labels), dtype=bool)
        # Stable, so that of equally frequent mistakes the first by label comes first.
        order = np.argsort(-mistakes, axis=None, kind="stable")[: min(_N_MISTAKES, np.count_nonzero(mistakes))]
        rows = []
        for row, column in zip(*np.unravel_index(order, mistakes.shape), strict=True):
            share = f"{100 * self.row_shares[row, column]:.2f}"
            rows.append((self.row_names[row], self.column_names[column], f"{mistakes[row, column]:,}", share))
        unit = "count" if self.has_nothing else "documents"
        return [("most frequent mistakes: gold", "predicted", unit, "% of gold"), *rows] if rows else []


def count_confusions(
    labels: Sequence[str], pairs: Iterable[tuple[str | None, str | None]], *, has_nothing: bool = False
) -> Confusion:
    """Count which class was taken for which.

    Args:
        labels: All classes.
        pairs: The gold and the predicted class of each document, or of whatever else has one.
        has_nothing: Whether either of the two may be missing.

    Example:
        >>> count_confusions(["ham", "spam"], [("ham", "ham"), ("ham", "spam"), ("spam", "spam")]).counts.tolist()
        [[1, 1], [0, 1]]
    """
    index: dict[str | None, int] = {label: place for place, label in enumerate(labels)}
    if has_nothing:
        index[None] = len(index)
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for gold, predicted in pairs:
        counts[index[gold], index[predicted]] += 1
    return Confusion((*labels, "") if has_nothing else tuple(labels), counts, has_nothing)
