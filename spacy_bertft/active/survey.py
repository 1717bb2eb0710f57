"""A stream of texts, measured batch by batch: the most uncertain ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.active.uncertainty import Floats, measure_uncertainty
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import run_component
from spacy_bertft.components.text_classifier import TextClassifier
from spacy_bertft.components.token_component import TokenComponent
from spacy_bertft.data.reports import format_left_out
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.unlabelled import UnlabelledText, read_unlabelled
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError, UnsupportedError, format_count
from spacy_bertft.models.encoder.states import EncodedDocs
from spacy_bertft.models.heads.head import HeadModel, watch_states
from spacy_bertft.models.heads.text import combine_windows


@dataclass(frozen=True)
class Candidate:
    """A text that may be suggested.

    Attributes:
        text: The text.
        uncertainty: How uncertain the pipeline is about it, from 0 to 1.
        vector: `(H,)` vector that is compared with those of other texts; None where only uncertainty counts.
    """

    text: UnlabelledText
    uncertainty: float
    vector: NDArray[np.float32] | None = None


def find_measured(nlp: Language, component: str | None = None) -> dict[str, BertComponent]:
    """Find the components whose uncertainty counts, by name, in the order of the pipeline.

    Args:
        nlp: The pipeline.
        component: The only one that counts; None for all of ours that give tags or categories.

    Raises:
        SettingError: There is no such component.
    """
    ours = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, (TokenComponent, TextClassifier))}
    measured = ours if component is None else {name: pipe for name, pipe in ours.items() if name == component}
    if not measured:
        expected = f"one of {', '.join(ours)}" if ours else "a pipeline that has one, such as bert_ner; this has none"
        raise SettingError("component", component, expected)
    return measured


def measure_texts(
    nlp: Language, measured: Mapping[str, BertComponent], texts: Sequence[UnlabelledText], *, has_vectors: bool
) -> list[Candidate]:
    """Measure how uncertain a pipeline is about a batch of texts, and compute their vectors.

    Components before the last one that counts are run as in the pipeline, for a head may listen to one of them; but no
    other head of ours, since what it writes changes no scores.

    Args:
        nlp: The pipeline.
        measured: Its components that count, at least one. The uncertainty of a text is the mean over them; its vector
            comes from the encoder of the first.
        texts: `B` texts.
        has_vectors: Whether vectors are wanted.

    Raises:
        UnsupportedError: Vectors are wanted, and the encoder gives none.
    """
    docs = [nlp.make_doc(text.text) for text in texts]
    found: list[Floats] = []
    vectors: NDArray[np.float32] | None = None
    for name, component in nlp.pipeline:
        pipe = measured.get(name)
        if pipe is None:
            docs = docs if isinstance(component, BertComponent) else run_component(component, docs)
            continue
        if has_vectors and vectors is None:
            with watch_encoder(pipe.model) as read_vectors:
                found.append(measure_uncertainty(pipe, docs))
                vectors = read_vectors()
        else:
            found.append(measure_uncertainty(pipe, docs))
        if len(found) == len(measured):
            break
    means = np.mean(found, axis=0).tolist()
    rows = [None] * len(docs) if vectors is None else [row.copy() for row in vectors]
    return [Candidate(*each) for each in zip(texts, means, rows, strict=True)]


@dataclass(frozen=True)
class SuggestReport:
    """What was read, left out and suggested.

    Attributes:
        components: The components whose uncertainty counts.
        n_lines: Lines that were read.
        n_left_out: Lines that were left out, by reason.
        n_measured: Texts whose uncertainty was measured.
        n_suggested: Texts that were suggested.
        mean_measured: Mean uncertainty of all measured texts, from 0 to 1.
        mean_suggested: Mean uncertainty of the suggested texts, from 0 to 1.
    """

    components: tuple[str, ...]
    n_lines: int
    n_left_out: Mapping[str, int]
    n_measured: int
    n_suggested: int
    mean_measured: float
    mean_suggested: float

    def __str__(self) -> str:
        return (
            f"{format_count(self.n_lines, 'line')} read; left out: {format_left_out(self.n_left_out)}; "
            f"{self.n_suggested:,} of {format_count(self.n_measured, 'text')} suggested. "
            f"Mean uncertainty of {', '.join(self.components)}: "
            f"{self.mean_suggested:.3f} of these, {self.mean_measured:.3f} of all."
        )


class Survey:
    """Measures all texts of a file, and keeps the most uncertain ones.

    Args:
        nlp: The pipeline.
        measured: Its components whose uncertainty counts.
        has_vectors: Whether the vectors of texts are kept too.
    """

    def __init__(self, nlp: Language, measured: Mapping[str, BertComponent], *, has_vectors: bool) -> None:
        self._nlp = nlp
        self._measured = measured
        self._has_vectors = has_vectors
        self._tally = Tally()
        self._n_measured = 0
        self._total = 0.0

    def read(self, path: Path, text_column: str, n_candidates: int) -> list[Candidate]:
        """Measure the texts of a file, each of several copies once.

        Returns:
            The most uncertain ones first, in memory that does not grow with the file; among equals the earlier one.

        Raises:
            DataError: There is no such file, or no text in it.
            ColumnFormatError: A line cannot be read, or its text is longer than the pipeline takes.
            UnsupportedError: Vectors are wanted, and the encoder gives none.
        """
        candidates = self._measure(self._read_distinct(path, text_column))
        kept = nlargest(n_candidates, candidates, key=lambda candidate: candidate.uncertainty)
        if not kept:
            raise DataError(f"{path}: there is no text in it. Expected texts to choose from.")
        return kept

    def report(self, chosen: Sequence[Candidate]) -> SuggestReport:
        """Report what was read and left out, and what was chosen of it."""
        return SuggestReport(
            components=tuple(self._measured),
            n_lines=self._tally.n_lines,
            n_left_out=dict(self._tally.left_out),
            n_measured=self._n_measured,
            n_suggested=len(chosen),
            mean_measured=self._total / self._n_measured,
            mean_suggested=sum(candidate.uncertainty for candidate in chosen) / len(chosen),
        )

    def _measure(self, distinct: Iterator[UnlabelledText]) -> Iterator[Candidate]:
        texts = iter(tqdm(distinct, desc="Measuring", unit=" texts", disable=None))
        while batch := list(islice(texts, self._nlp.batch_size)):
            for candidate in measure_texts(self._nlp, self._measured, batch, has_vectors=self._has_vectors):
                self._n_measured += 1
                self._total += candidate.uncertainty
                yield candidate

    def _read_distinct(self, path: Path, text_column: str) -> Iterator[UnlabelledText]:
        seen: set[bytes] = set()
        longest = self._nlp.max_length
        for text in read_unlabelled(path, text_column, self._tally):
            if len(text.text) > longest:
                problem = f"the text has {len(text.text):,} characters"
                raise ColumnFormatError(path, text.line, problem, f"Expected at most {longest:,}; cut it into several.")
            key = blake2b(text.text.encode("utf-8"), digest_size=16).digest()
            if key in seen:
                self._tally.left_out["copies of other texts"] += 1
            else:
                seen.add(key)
                yield text


ReadVectors = Callable[[], NDArray[np.float32]]


@contextmanager
def watch_encoder(model: HeadModel[Any]) -> Iterator[ReadVectors]:
    """Watch the encoder under a head, its own or a shared one, while the head predicts.

    The vector of a text is the mean of the states of its pieces, those of a long text weighed by the length of their
    windows.

    Args:
        model: A head over an encoder.

    Yields:
        What reads the vectors of the last batch, `(B, H)`.

    Raises:
        UnsupportedError: Vectors are read of an encoder that makes no means, or before it has run.
    """
    model.encoder.require("mean")
    with watch_states() as seen:
        yield lambda: _combine_means(seen)


def _combine_means(seen: list[EncodedDocs]) -> NDArray[np.float32]:
    if not seen or "mean" not in seen[-1].vectors:
        raise UnsupportedError("The encoder gives no mean of its states, so there are no vectors to compare texts by.")
    encoded = seen[-1]
    by_window = encoded.vectors["mean"].detach().float().cpu().numpy()
    return combine_windows(by_window, encoded.window_doc, encoded.window_lengths, len(encoded.lengths), "mean")[0]
