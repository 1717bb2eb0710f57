"""What a server counts, for Prometheus."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# Where the processes of one server put their numbers, so that each can report the sum.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """The metrics of a server; all but the number of requests by pipeline.

    Attributes:
        requests: Requests for predictions, by HTTP status.
        request_seconds: From a request to its answer.
        waiting: Texts that wait.
        failed: Texts that a component failed on.
        chars: Characters.
        batch_texts: Texts of a batch.
        batch_seconds: How long a batch took.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        owner: dict[str, Any] = {"registry": self._registry}
        by_pipeline: dict[str, Any] = {"labelnames": ["pipeline"], **owner}
        self.requests = Counter("bertft_requests", "Requests for predictions, by HTTP status.", ["status"], **owner)
        self.request_seconds = Histogram("bertft_request_seconds", "From request to answer.", buckets=_SECONDS, **owner)
        self.waiting = Gauge("bertft_waiting_texts", "Texts that wait.", multiprocess_mode="livesum", **by_pipeline)
        self.failed = Counter("bertft_failed_texts", "Texts that a component failed on.", **by_pipeline)
        self.chars = Counter("bertft_characters", "Characters annotated.", **by_pipeline)
        self.batch_texts = Histogram("bertft_batch_texts", "Texts of a batch.", buckets=_COUNTS, **by_pipeline)
        self.batch_seconds = Histogram("bertft_batch_seconds", "Of a batch.", buckets=_SECONDS, **by_pipeline)
        if DIRECTORY_VARIABLE in os.environ:
            self._registry = CollectorRegistry()
            sum_up: Any = MultiProcessCollector
            sum_up(self._registry)
        else:
            ProcessCollector(registry=self._registry)

    def format(self) -> bytes:
        """Write all metrics as Prometheus reads them."""
        return generate_latest(self._registry)
