"""One worker: a pipeline that is loaded once, and annotates chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.annotate.chunks import Chunk, Problem
from spacy_bertft.annotate.ledger import ShardReport
from spacy_bertft.annotate.memory import give_back_memory, keep_large_blocks_apart
from spacy_bertft.annotate.rows import TextRow, parse_rows
from spacy_bertft.annotate.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.annotate.storage import OutputDir
from spacy_bertft.annotate.writers import make_writer
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.errors import shorten
from spacy_bertft.models.runtime.devices import use_gpu

_BATCH_CHARS = 100_000  # some twenty passes of a BERT


@dataclass
class _Results:
    """What has become of the rows of a chunk so far.

    Attributes:
        written: What the writer has taken from each row, by line.
        problems: Rows that could not be annotated.
    """

    written: dict[int, object] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


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
        handler: Any = self._note_failure  # its type says that a handler never returns; spaCy's own `warn` does
        self.nlp.set_error_handler(handler)
        self._max_chars = settings.max_chars or self.nlp.max_length
        self.nlp.max_length = max(self.nlp.max_length, self._max_chars)
        keep_large_blocks_apart()
        self._failure = ""
        self._writer = make_writer(settings)
        self._output = OutputDir(worker.output_url)

    def __reduce__(self) -> tuple[Any, ...]:
        return Annotator, (self.settings, self.worker)

    def __call__(self, chunk: Chunk) -> ShardReport:
        """Annotate a chunk, and write its shard and its report; where problems are not allowed, only without any.

        Args:
            chunk: The rows.
        """
        # spaCy keeps every new word of a stream for good, unless it is told where the stream may be forgotten.
        with self.nlp.memory_zone():
            results = self._annotate(chunk)
            lines = sorted(results.written)
            rows = [results.written[line] for line in lines]
            content = self._writer.format_shard(rows, lines, chunk) if rows else b""
            del results.written, rows
        give_back_memory()
        report = ShardReport(
            shard=chunk.shard,
            source=chunk.source,
            n_written=len(lines),
            n_empty=chunk.n_empty,
            weight=chunk.weight,
            problems=tuple(sorted(results.problems, key=lambda problem: problem.line or 0)),
        )
        if not (report.problems and self.worker.is_strict):
            if lines:
                self._output.write(f"{chunk.shard}{self._writer.suffix}", content)
            report.write(self._output)
        return report

    def _annotate(self, chunk: Chunk) -> _Results:
        results = _Results()
        rows: list[TextRow] = []
        for row in parse_rows(chunk, self.settings, self.nlp.vocab, self._max_chars):
            if isinstance(row, TextRow):
                rows.append(row)
            else:
                results.problems.append(row)
        for batch in self._make_batches(rows):
            self._run(batch, results)
        # spaCy leaves out a batch whole, perhaps because of one document in it.
        for row in rows:
            if row.line not in results.written:
                self._failure = ""
                self._run([row], results)
                if row.line not in results.written:
                    results.problems.append(Problem(row.line, self._failure))
        return results

    def _make_batches(self, rows: Sequence[TextRow]) -> Iterator[Sequence[TextRow]]:
        """Split rows into batches of about the same size, so that both short and long ones fill the passes of BERT."""
        n_rows = self.worker.batch_size
        if n_rows is not None:
            yield from (rows[start : start + n_rows] for start in range(0, len(rows), n_rows))
            return
        start = n_chars = 0
        for end, row in enumerate(rows, start=1):
            n_chars += len(row.text) if isinstance(row.text, str) else len(row.text.text)
            if n_chars >= _BATCH_CHARS or end == len(rows):
                yield rows[start:end]
                start, n_chars = end, 0

    def _run(self, rows: Sequence[TextRow], results: _Results) -> None:
        docs = (doc for row in rows if (doc := self._make_doc(row)) is not None)
        for doc in self.nlp.pipe(docs, batch_size=len(rows)):
            if doc is None:  # spaCy's rules give that in the place of a document on which they have failed
                continue
            row, doc._context = doc._context, None
            try:
                results.written[row.line] = self._writer.format_row(row, doc)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                self._note_failure(self.settings.output_format, None, (), error)

    def _make_doc(self, row: TextRow) -> Doc | None:
        try:
            doc = row.text if isinstance(row.text, Doc) else self.nlp.make_doc(row.text)
        except ValueError as error:
            self._note_failure("tokenizer", None, (), error)
            return None
        doc._context = row  # as `nlp.pipe` itself does with tuples
        return doc

    def _note_failure(self, name: str, component: object, docs: Sequence[Doc], error: Exception) -> None:
        """Note why documents could not be annotated, in the place of spaCy's handler, which would raise."""
        # What comes after the first one may have come of it.
        reason = shorten(" ".join(str(error).split()))
        self._failure = self._failure or f"{name!r} failed: {type(error).__name__}: {reason}"


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
