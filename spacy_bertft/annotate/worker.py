"""One worker: a pipeline that is loaded once, and annotates chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_words

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
        written: dict[int, object] = {}
        for batch in self._make_batches(rows):
            self._run(batch, written)
        # spaCy leaves out a whole batch, perhaps because of one document in it.
        for row in rows:
            if row.line not in written:
                self._failure = ""
                self._run([row], written)
                if row.line not in written:
                    problems.append(Problem(row.line, self._failure))
        return written, problems

    def _make_batches(self, rows: Sequence[TextRow]) -> Iterable[Sequence[TextRow]]:
        """Split rows into batches of about the same size, so that both short and long ones fill the passes of BERT."""
        if (n_rows := self.worker.batch_size) is not None:
            return (rows[start : start + n_rows] for start in range(0, len(rows), n_rows))
        return minibatch_by_words(rows, _BATCH_CHARS, tolerance=0, get_length=attrgetter("n_chars"))

    def _run(self, rows: Sequence[TextRow], written: dict[int, object]) -> None:
        docs = (doc for row in rows if (doc := self._make_doc(row)) is not None)
        for doc in self.nlp.pipe(docs, batch_size=len(rows)):
            if doc is None:  # spaCy's rules return None for a document on which they have failed
                continue
            row, doc._context = doc._context, None
            try:
                written[row.line] = self._writer.format_row(row, doc)
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
        """Record why documents could not be annotated; spaCy's own handler would raise."""
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
