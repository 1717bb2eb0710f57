"""Running a pipeline over a batch of texts, some of which it may fail on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.errors import shorten

Result = TypeVar("Result")


class Failure(NamedTuple):
    """Why a text could not be annotated.

    Attributes:
        name: The component that failed, `tokenizer`, or what reads the document.
        error: What it raised; None where it said nothing.
    """

    name: str = ""
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is None:
            return ""
        return f"{self.name!r} failed: {type(self.error).__name__}: {shorten(' '.join(str(self.error).split()))}"


class IsolatingPipeline(Generic[Result]):
    """A pipeline that annotates in batches, and of a batch that fails each text again alone.

    spaCy leaves out a whole batch, perhaps because of one document in it.

    Args:
        nlp: The pipeline; its error handler is replaced.
        read: Reads what is wanted of a document, given the position of its text; it may raise a TypeError, ValueError,
            OverflowError or RecursionError. The document is forgotten then.
        reader_name: What a failure calls it.
    """

    def __init__(self, nlp: Language, read: Callable[[int, Doc], Result], reader_name: str) -> None:
        self.nlp = nlp
        self._read, self._reader_name = read, reader_name
        self._failure = Failure()
        handler: Any = self._note_failure  # its type says that a handler never returns; spaCy's own `warn` does
        nlp.set_error_handler(handler)

    def run(
        self, texts: Sequence[str | Doc], batches: Iterable[Sequence[int]]
    ) -> tuple[dict[int, Result], dict[int, Failure]]:
        """Annotate texts.

        Args:
            texts: The texts, or the documents that they are already.
            batches: The positions of those to be annotated together.

        Returns:
            What was read, and what failed, by position.
        """
        done: dict[int, Result] = {}
        for batch in batches:
            self._run(texts, batch, done)
        failed = {}
        for index in range(len(texts)):
            if index not in done:
                self._failure = Failure()
                self._run(texts, [index], done)
                if index not in done:
                    failed[index] = self._failure
        return done, failed

    def _run(self, texts: Sequence[str | Doc], batch: Sequence[int], done: dict[int, Result]) -> None:
        docs = (doc for index in batch if (doc := self._make_doc(texts[index], index)) is not None)
        for doc in self.nlp.pipe(docs, batch_size=len(batch)):
            if doc is None:  # spaCy's rules return None for a document on which they have failed
                continue
            index, doc._context = doc._context, None
            try:
                done[index] = self._read(index, doc)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                self._note_failure(self._reader_name, None, (), error)

    def _make_doc(self, text: str | Doc, index: int) -> Doc | None:
        try:
            doc = text if isinstance(text, Doc) else self.nlp.make_doc(text)
        except ValueError as error:
            self._note_failure("tokenizer", None, (), error)
            return None
        doc._context = index  # as `nlp.pipe` itself does with tuples
        return doc

    def _note_failure(self, name: str, component: object, docs: Sequence[Doc], error: Exception) -> None:
        """Record why documents could not be annotated; spaCy's own handler would raise."""
        # What comes after the first one may have come of it.
        if self._failure.error is None:
            self._failure = Failure(name, error)
