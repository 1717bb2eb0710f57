"""A file of texts, measured as a stream: what is known once all of them went by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.active.candidates import Candidate, CandidatePool
from spacy_bertft.active.measure import measure_texts
from spacy_bertft.active.report import SuggestReport
from spacy_bertft.components.component import BertComponent
from spacy_bertft.data.texts.rows import RowTally
from spacy_bertft.data.texts.unlabelled import UnlabelledText, read_unlabelled
from spacy_bertft.errors import ColumnFormatError, DataError


class Survey:
    """Measures all texts of a file, and keeps the most uncertain ones.

    Args:
        nlp: The pipeline.
        measured: Its components whose uncertainty counts.
        n_candidates: How many texts are kept.
        has_vectors: Whether their vectors are kept too.

    Attributes:
        pool: The texts that are kept.
    """

    def __init__(
        self, nlp: Language, measured: Mapping[str, BertComponent], n_candidates: int, *, has_vectors: bool
    ) -> None:
        self.pool = CandidatePool(n_candidates)
        self._nlp = nlp
        self._measured = measured
        self._has_vectors = has_vectors
        self._tally = RowTally()
        self._n_copies = self._n_measured = 0
        self._total = 0.0

    def read(self, path: Path, text_column: str) -> None:
        """Measure the texts of a file, each of several copies once.

        Raises:
            DataError: There is no such file, or no text in it.
            ColumnFormatError: A line cannot be read, or its text is longer than the pipeline takes.
            UnsupportedError: Vectors are wanted, and the encoder gives none.
        """
        texts = iter(tqdm(self._read_distinct(path, text_column), desc="Measuring", unit=" texts", disable=None))
        while batch := list(islice(texts, self._nlp.batch_size)):
            candidates = measure_texts(self._nlp, self._measured, batch, has_vectors=self._has_vectors)
            self._n_measured += len(candidates)
            self._total += sum(candidate.uncertainty for candidate in candidates)
            self.pool.add(candidates)
        if not self._n_measured:
            raise DataError(f"{path}: there is no text in it. Expected texts to choose from.")

    def report(self, chosen: Sequence[Candidate]) -> SuggestReport:
        """Report what was read and left out, and what was chosen of it."""
        copies = {"copies of other texts": self._n_copies} if self._n_copies else {}
        return SuggestReport(
            components=tuple(self._measured),
            n_lines=self._tally.n_lines,
            n_left_out=self._tally.list_left_out() | copies,
            n_measured=self._n_measured,
            n_suggested=len(chosen),
            mean_measured=self._total / self._n_measured,
            mean_suggested=sum(candidate.uncertainty for candidate in chosen) / len(chosen),
        )

    def _read_distinct(self, path: Path, text_column: str) -> Iterator[UnlabelledText]:
        seen: set[bytes] = set()
        for text in read_unlabelled(path, text_column, self._tally):
            self._check_length(path, text)
            key = blake2b(text.text.encode("utf-8"), digest_size=16).digest()
            if key in seen:
                self._n_copies += 1
            else:
                seen.add(key)
                yield text

    def _check_length(self, path: Path, text: UnlabelledText) -> None:
        longest = self._nlp.max_length
        if len(text.text) > longest:
            problem = f"the text has {len(text.text):,} characters"
            raise ColumnFormatError(path, text.line, problem, f"Expected at most {longest:,}; cut it into several.")
