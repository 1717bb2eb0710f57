"""The bar: how much of the input is done, how fast documents go by, and how long it will take."""

from __future__ import annotations

from time import monotonic
from types import TracebackType

from tqdm import tqdm

from spacy_bertft.annotate.ledger import ShardReport

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} ({remaining} left{postfix})"


class ProgressBar:
    """A bar on a terminal, and nothing in a pipe.

    Args:
        n_bytes: The size of the input.
        n_bytes_before: How much of it was done before.
    """

    def __init__(self, n_bytes: int, n_bytes_before: int) -> None:
        self._bar = tqdm(total=n_bytes, initial=n_bytes_before, desc="Annotating", disable=None, bar_format=_FORMAT)
        self._start = monotonic()
        self._n_docs = 0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def move(self, report: ShardReport) -> None:
        """Count a shard that is done."""
        self._n_docs += report.n_written
        rate = self._n_docs / max(1e-9, monotonic() - self._start)
        self._bar.set_postfix_str(f"{self._n_docs:,} docs, {rate:,.0f} docs/s", refresh=False)
        self._bar.update(report.weight)
