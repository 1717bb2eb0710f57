"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# More columns than this do not fit on a terminal; the most frequent confusions are listed instead.
_MAX_COLUMNS = 12
_N_CONFUSIONS = 15


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """A confusion matrix.

    Attributes:
        labels: The classes, `L` of them.
        counts: `(L, L)` documents; rows are the gold class, columns the predicted one.
        has_none: Whether the last class stands for no class: its row has spurious predictions, its column missed ones.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    has_none: bool = False

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the rows."""
        return (*self.labels[:-1], "spurious") if self.has_none else self.labels

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return (*self.labels[:-1], "missed") if self.has_none else self.labels

    @property
    def row_shares(self) -> NDArray[np.float64]:
        """`(L, L)` shares of the documents of a gold class; 0 in the row of a class without any."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)

    def format_rows(self) -> list[tuple[str, ...]]:
        """Lay out the matrix; of many classes, the most frequent confusions. Empty where there are none of these."""
        if len(self.labels) > _MAX_COLUMNS:
            return self._format_confusions()
        rows = zip(self.row_names, self.counts.tolist(), strict=True)
        return [
            ("gold \\ predicted", *self.column_names),
            *((name, *(f"{count:,}" for count in counts)) for name, counts in rows),
        ]

    def _format_confusions(self) -> list[tuple[str, ...]]:
        confusions = self.counts * ~np.eye(len(self.labels), dtype=bool)
        # Stable, so that of equally frequent confusions the first by label comes first.
        order = np.argsort(-confusions, axis=None, kind="stable")[: min(_N_CONFUSIONS, np.count_nonzero(confusions))]
        rows = [
            (self.row_names[row], self.column_names[column], f"{confusions[row, column]:,}", f"{share:.2f}")
            for row, column in zip(*np.unravel_index(order, confusions.shape), strict=True)
            for share in [100 * self.row_shares[row, column]]
        ]
        unit = "count" if self.has_none else "documents"
        return [("most frequent confusions: gold", "predicted", unit, "% of gold"), *rows] if rows else []


def count_confusions(
    labels: Sequence[str], pairs: Iterable[tuple[str | None, str | None]], *, has_none: bool = False
) -> ConfusionMatrix:
    """Count a confusion matrix.

    Args:
        labels: All classes.
        pairs: The gold and the predicted class of each document, or of whatever else has one.
        has_none: Whether either of the two may be None.

    Example:
        >>> count_confusions(["ham", "spam"], [("ham", "ham"), ("ham", "spam"), ("spam", "spam")]).counts.tolist()
        [[1, 1], [0, 1]]
    """
    index: dict[str | None, int] = {label: place for place, label in enumerate(labels)}
    if has_none:
        index[None] = len(index)
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for gold, predicted in pairs:
        counts[index[gold], index[predicted]] += 1
    return ConfusionMatrix((*labels, "") if has_none else tuple(labels), counts, has_none)
