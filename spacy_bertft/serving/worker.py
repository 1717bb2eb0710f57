"""One pipeline in a thread of its own, which annotates in batches what waits for it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.annotation.isolation import Failure, IsolatingPipeline
from spacy_bertft.annotation.memory import give_back_memory, keep_large_blocks_apart
from spacy_bertft.annotation.values import format_json, list_answers, list_entity_groups, read_answers
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.errors import BertftError, SettingError
from spacy_bertft.models.runtime.devices import use_gpu
from spacy_bertft.serving.metrics import Metrics
from spacy_bertft.serving.settings import FAILED_TO_START, ServeSettings

_ZONE_CHARS = 1_000_000  # after which spaCy forgets new words, and free memory is given back
_LOGGER = logging.getLogger("uvicorn.error")


@dataclass(eq=False)
class WaitingText:
    """A text that waits to be annotated.

    Attributes:
        text: The text.
        since: When it came, in seconds.
        result: What will be predicted, as JSON.
    """

    text: str
    since: float
    result: asyncio.Future[str | Failure]


class Worker(Thread):
    """Annotates the texts of many requests together, and whichever fails alone.

    To be made and used in the thread of the event loop that waits for the results. Where the pipeline cannot be loaded,
    the process ends.

    Args:
        name: What requests call the pipeline.
        settings: How batches are made.
        metrics: What is counted.

    Attributes:
        is_ready: Whether the pipeline is loaded.
    """

    def __init__(self, name: str, settings: ServeSettings, metrics: Metrics) -> None:
        super().__init__(name=f"spacy-bertft {name}", daemon=True)
        self.is_ready = False
        self._is_closed = False
        self._settings = settings
        self._source = settings.pipelines[name]
        self._loop = asyncio.get_running_loop()
        self._changed = Condition()
        self._texts: deque[WaitingText] = deque()
        self._n_chars = 0  # of these
        self._waiting = metrics.waiting.labels(name)
        self._failed = metrics.failed.labels(name)
        self._chars = metrics.chars.labels(name)
        self._batch_texts = metrics.batch_texts.labels(name)
        self._batch_seconds = metrics.batch_seconds.labels(name)

    @property
    def n_waiting(self) -> int:
        """How many texts wait."""
        return len(self._texts)

    def add(self, texts: Sequence[str]) -> list[asyncio.Future[str | Failure]]:
        """Let texts wait, and return what will be predicted of each, as JSON."""
        now = monotonic()
        added = [WaitingText(text, now, self._loop.create_future()) for text in texts]
        with self._changed:
            was_empty = not self._texts
            self._texts += added
            self._n_chars += sum(map(len, texts))
            if was_empty or self._may_fill_batch():
                self._changed.notify()
        self._waiting.set(self.n_waiting)
        return [each.result for each in added]

    def close(self) -> None:
        """Let the thread end, once it has annotated all that waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def run(self) -> None:
        """Load the pipeline, and annotate until the worker is closed; Python calls this in the new thread."""
        try:
            nlp = self._load()
            while batch := self._take_batch():
                # spaCy keeps every new word for good, unless a memory zone ends.
                with nlp.memory_zone():
                    n_chars = self._annotate(batch)
                    while n_chars < _ZONE_CHARS and (batch := self._take_batch()):
                        n_chars += self._annotate(batch)
                give_back_memory()
        except (BertftError, OSError) as error:
            _LOGGER.error("%s", error)
        finally:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(sys.exit, FAILED_TO_START)

    def _load(self) -> Language:
        use_gpu(self._settings.gpu_id)
        keep_large_blocks_apart()
        nlp = load_pipeline(self._source)
        answers = {answer: answer for answer in list_answers(nlp)}
        if not answers:
            expected = "one that finds entities, categories, spans, tags or answers"
            raise SettingError("pipeline", self._source, expected)
        groups = list_entity_groups(nlp)

        def read(_: int, doc: Doc) -> str:
            return format_json(read_answers(doc, answers, groups))

        nlp.max_length = max(nlp.max_length, self._settings.max_chars)
        self._pipeline = IsolatingPipeline(nlp, read, "json")
        self._pipeline.run(["warm up"], [[0]])  # what is built on first use is built before the first request
        self.is_ready = True
        return nlp

    def _may_fill_batch(self) -> bool:
        """Tell whether as many characters wait as a batch may have."""
        return self._n_chars >= self._settings.max_batch_chars or self._is_closed

    def _take_batch(self) -> list[WaitingText]:
        """Take the next batch; nothing once the worker is closed and no text waits."""
        batch: list[WaitingText] = []
        with self._changed:
            self._changed.wait_for(lambda: self._texts or self._is_closed)
            if self._texts:
                delay = self._texts[0].since + self._settings.max_delay_ms / 1000 - monotonic()
                self._changed.wait_for(self._may_fill_batch, timeout=delay)
            n_left = self._settings.max_batch_chars
            while self._texts and (not batch or len(self._texts[0].text) <= n_left):
                batch.append(self._texts.popleft())
                n_left -= len(batch[-1].text)
            self._n_chars -= sum(len(each.text) for each in batch)
        return batch

    def _annotate(self, batch: Sequence[WaitingText]) -> int:
        """Annotate a batch, and have the event loop set the results; return how many characters it had."""
        start, n_chars = monotonic(), sum(len(each.text) for each in batch)
        done, failed = self._pipeline.run([each.text for each in batch], [range(len(batch))])
        self._batch_seconds.observe(monotonic() - start)
        self._batch_texts.observe(len(batch))
        self._chars.inc(n_chars)
        self._failed.inc(len(failed))
        self._waiting.set(self.n_waiting)
        self._loop.call_soon_threadsafe(_set_results, batch, done | failed)
        return n_chars


def _set_results(batch: Sequence[WaitingText], results: Mapping[int, Any]) -> None:
    for index, waiting in enumerate(batch):
        if not waiting.result.done():  # its request was cancelled
            waiting.result.set_result(results[index])
