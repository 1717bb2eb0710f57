"""One worker: a pipeline that is loaded once, and annotates chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_words

from spacy_bertft.annotation.chunks import Chunk, Problem
from spacy_bertft.annotation.isolation import IsolatingPipeline
from spacy_bertft.annotation.ledger import ShardReport
from spacy_bertft.annotation.memory import give_back_memory, keep_large_blocks_apart
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.annotation.storage import OutputDir
from spacy_bertft.annotation.writers import make_writer
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.models.runtime.devices import use_gpu

_BATCH_CHARS = 100_000  # some twenty passes of a BERT


class Annotator:
    """Annotates chunks, and writes each to its shard.

    Sent to another process, an annotator loads its pipeline there.

    Args:
        settings: What decides what is written.
        worker: How this worker does it.
        nlp: Its pipeline, where that is loaded already.

    Raises:
        DataError: There is no such pipeline.
        SettingError: There is no such device.
        MissingExtraError: A package is missing for the output.
    """

    def __init__(self, settings: AnnotateSettings, worker: WorkerSettings, nlp: Language | None = None) -> None:
        self.settings = settings
        self.worker = worker
        self.nlp = load_on_device(worker) if nlp is None else nlp
        self._max_chars = settings.max_chars or self.nlp.max_length
        self.nlp.max_length = max(self.nlp.max_length, self._max_chars)
        keep_large_blocks_apart()
        self._writer = make_writer(settings)
        self._output = OutputDir(worker.output_url)

    def __reduce__(self) -> tuple[Any, ...]:
        return Annotator, (self.settings, self.worker)

    def __call__(self, chunk: Chunk) -> ShardReport:
        """Annotate a chunk, and write its shard and its report; where problems are not allowed, only without any.

        Args:
            chunk: The rows.
        """
        # spaCy keeps every new word of a stream for good, unless a memory zone ends.
        with self.nlp.memory_zone():
            written, problems = self._annotate(chunk)
            lines = sorted(written)
            content = self._writer.format_shard([written[line] for line in lines], lines, chunk) if lines else b""
            del written
        give_back_memory()
        report = ShardReport(
            shard=chunk.shard,
            source=chunk.source,
            n_written=len(lines),
            n_empty=chunk.n_empty,
            weight=chunk.weight,
            problems=tuple(sorted(problems, key=lambda problem: problem.line or 0)),
        )
        if not (report.problems and self.worker.is_strict):
            if lines:
                self._output.write(f"{chunk.shard}{self._writer.suffix}", content)
            report.write(self._output)
        return report

    def _annotate(self, chunk: Chunk) -> tuple[dict[int, object], list[Problem]]:
        """Annotate rows: what the writer has taken from each, by line, and those that could not be annotated."""
        parsed = list(parse_rows(chunk, self.settings, self.nlp.vocab, self._max_chars))
        rows = [row for row in parsed if isinstance(row, TextRow)]
        problems = [row for row in parsed if isinstance(row, Problem)]

        def read(index: int, doc: Doc) -> object:
            return self._writer.format_row(rows[index], doc)

        pipeline = IsolatingPipeline(self.nlp, read, self.settings.output_format)
        written, failed = pipeline.run([row.text for row in rows], self._make_batches(rows))
        problems += [Problem(rows[index].line, str(failure)) for index, failure in failed.items()]
        return {rows[index].line: each for index, each in written.items()}, problems

    def _make_batches(self, rows: Sequence[TextRow]) -> Iterable[Sequence[int]]:
        """Split rows into batches of about the same size, so that both short and long ones fill the passes of BERT."""
        indices = range(len(rows))
        if (n_rows := self.worker.batch_size) is not None:
            return (indices[start : start + n_rows] for start in range(0, len(rows), n_rows))
        return minibatch_by_words(indices, _BATCH_CHARS, tolerance=0, get_length=lambda index: rows[index].n_chars)


def load_on_device(worker: WorkerSettings) -> Language:
    """Load a pipeline on the CPU or a GPU.

    Raises:
        DataError: There is no such pipeline.
        SettingError: The GPU cannot be used.
    """
    gpu = worker.find_gpu()
    if gpu is not None:
        use_gpu(gpu, device=worker.device)
    return load_pipeline(worker.pipeline)
