"""`spacy-bertft.QuestionAnswering.v1`: pairs of a question and a context → a score for every span that may answer.

The score of a span is that of its start plus that of its end (Devlin et al. 2019, section 4.2). One softmax goes over
the spans of all windows of a context (Clark & Gardner 2018, section 3.3), each of which counts once: where two windows
hold it, its score is the higher one. That there is no answer has the score of the piece that opens a window; the lowest
one counts, since windows without the answer say so of themselves. So what is best is what transformers takes for best.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Optional, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.heads.head import HeadModel
from spacy_bertft.models.heads.losses import Floats
from spacy_bertft.tokens.alignment import Ints, join_ranges
from spacy_bertft.tokens.contexts import ContextRows

TokenRange = tuple[int, int]  # of an answer, half-open; (0, 0) says that there is none
NO_ANSWER: TokenRange = (0, 0)


class QuestionScores(NamedTuple):
    """The scores of a batch.

    Attributes:
        scores: `(R, 2)` float32, of each piece as the start and as the end of an answer.
        rows: What the rows are.
    """

    scores: NDArray[np.float32]
    rows: ContextRows


@dataclass(frozen=True)
class Candidates:
    """What may be answered to the questions of a batch: spans of tokens, and `NO_ANSWER` if that is allowed.

    Attributes:
        doc: `(S,)` the document of each, in order.
        start: `(S,)` its first token, counted in the document.
        end: `(S,)` one past its last token; 0 where there is no answer.
        rows: `(S, 2)` the rows of the scores of its start and of its end.
        scores: `(S,)` the sum of the two.
        n_docs: How many documents there are.
    """

    doc: Ints
    start: Ints
    end: Ints
    rows: Ints
    scores: Floats
    n_docs: int

    @cached_property
    def log_probs(self) -> Floats:
        """`(S,)` the logarithms of the probabilities, of which those of each document sum to one."""
        return self.scores - self._sum_logs(self.scores)[self.doc]

    def scale_by_temperature(self, temperature: float) -> "Candidates":
        """Divide the scores by a temperature above 0."""
        return Candidates(self.doc, self.start, self.end, self.rows, self.scores / temperature, self.n_docs)

    def find_best(self, n_best: int) -> list[list[tuple[TokenRange, float]]]:
        """Find the most likely candidates of each document, with their probabilities, the most likely one first."""
        order = np.lexsort((-self.scores, self.doc))
        lengths = np.bincount(self.doc, minlength=self.n_docs)
        first, n_taken = np.cumsum(lengths) - lengths, np.minimum(lengths, n_best)
        best = order[join_ranges(first, n_taken)]
        found = zip(
            self.start[best].tolist(), self.end[best].tolist(), np.exp(self.log_probs[best]).tolist(), strict=True
        )
        ranked = [((start, end), prob) for start, end, prob in found]
        ends = np.cumsum(n_taken).tolist()
        return [ranked[end - n : end] for end, n in zip(ends, n_taken.tolist(), strict=True)]

    def mark(self, gold: Sequence[Collection[TokenRange] | None]) -> NDArray[np.bool_]:
        """Tell which candidates are among the answers of their documents, `(S,)`; None is nothing known."""
        extent = int(self.end.max(initial=0)) + 1
        wanted = [
            (doc * extent + start) * extent + end
            for doc, ranges in enumerate(gold)
            for start, end in ranges or ()
            if end < extent
        ]
        return np.isin((self.doc * extent + self.start) * extent + self.end, wanted)

    def compute_loss(self, is_right: NDArray[np.bool_]) -> tuple[float, Floats]:
        """Compute the negative log-likelihood that a right candidate is given, and its gradient.

        Args:
            is_right: `(S,)` which candidates are right. A document without a right one is left out.

        Returns:
            The mean over documents, and the gradient with respect to the scores of the candidates, `(S,)`.
        """
        right = np.where(is_right, self.log_probs, -np.inf)
        total = self._sum_logs(right)  # (B,)
        is_known = np.isfinite(total)
        target = np.exp(right - np.where(is_known, total, 0.0)[self.doc])  # (S,) among the right ones
        gradient = np.where(is_known[self.doc], np.exp(self.log_probs) - target, 0.0)
        n_known = max(1, int(is_known.sum()))
        return float(-total[is_known].sum() / n_known), gradient / n_known

    def compute_divergence(self, tutor: "Candidates") -> tuple[float, Floats]:
        """Compute the mean divergence from the probabilities of another head for the same candidates; the gradient."""
        target, n_docs = np.exp(tutor.log_probs), max(1, len(np.unique(self.doc)))
        loss = (target * (tutor.log_probs - self.log_probs)).sum() / n_docs
        return float(loss), (np.exp(self.log_probs) - target) / n_docs

    def spread(self, gradient: Floats, n_rows: int) -> Floats:
        """Turn a gradient with respect to the scores of candidates into one of the scores of rows, `(R, 2)`."""
        return np.stack([np.bincount(rows, gradient, minlength=n_rows) for rows in self.rows.T], axis=1)

    def _sum_logs(self, logs: Floats) -> Floats:
        """Sum what has these logarithms by document, `(S,)` → `(B,)`; −inf where there is nothing."""
        peak = np.full(self.n_docs, -np.inf)
        np.maximum.at(peak, self.doc, logs)
        peak[~np.isfinite(peak)] = 0.0
        with np.errstate(divide="ignore"):
            return np.log(np.bincount(self.doc, np.exp(logs - peak[self.doc]), minlength=self.n_docs)) + peak


def list_candidates(scored: QuestionScores, max_tokens: int, *, has_no_answer: bool) -> Candidates:
    """List what may be answered: every span of the context that is whole in a window, and not too long.

    Args:
        scored: The scores of a batch.
        max_tokens: Most tokens of a span. Tokens that share their piece are one, whatever their number.
        has_no_answer: Whether `NO_ANSWER` is among the candidates.
    """
    rows, n_docs = scored.rows, len(scored.rows.lengths)
    scores = scored.scores.astype(np.float64)
    doc = np.repeat(np.arange(n_docs), rows.lengths)
    is_opening = (rows.token_start < 0) & (rows.token_end < 0)
    window = np.cumsum(is_opening) - 1  # (R,) counted through the batch
    # On one axis, on which each window has a range of its own.
    extent = int(rows.token_end.max(initial=0)) + max_tokens + 1
    start_rows, end_rows = np.flatnonzero(rows.token_start >= 0), np.flatnonzero(rows.token_end >= 0)
    starts = rows.token_start[start_rows] + window[start_rows] * extent
    ends = rows.token_end[end_rows] + window[end_rows] * extent
    order = np.argsort(ends, kind="stable")  # combining marks may be in another order
    end_rows, ends = end_rows[order], ends[order]
    first = np.searchsorted(ends, starts, side="right")
    n_ends = np.searchsorted(ends, starts + max_tokens, side="right") - first
    is_long = (n_ends == 0) & (first < len(ends))  # what shares one piece
    is_long[is_long] = window[end_rows[first[is_long]]] == window[start_rows[is_long]]
    n_ends = np.where(is_long, 1, n_ends)
    pairs = np.stack([np.repeat(start_rows, n_ends), end_rows[join_ranges(first, n_ends)]], axis=1)  # (S, 2)
    opening = np.flatnonzero(is_opening) if has_no_answer else np.zeros(0, dtype=np.intp)
    is_none = np.repeat([False, True], [len(pairs), len(opening)])
    pairs = np.concatenate([pairs, np.stack([opening, opening], axis=1)])
    found = scores[pairs[:, 0], 0] + scores[pairs[:, 1], 1]
    start, end = rows.token_start[pairs[:, 0]] * ~is_none, rows.token_end[pairs[:, 1]] * ~is_none
    order = np.lexsort((np.where(is_none, found, -found), end, start, doc[pairs[:, 0]]))
    keys = np.stack([doc[pairs[:, 0]], start, end])[:, order]
    order = order[np.append(True, (np.diff(keys) != 0).any(axis=0))[: len(order)]]  # the first of each
    return Candidates(doc[pairs[order, 0]], start[order], end[order], pairs[order], found[order], n_docs)


class QuestionModel(HeadModel[QuestionScores]):
    """`spacy-bertft.QuestionAnswering.v1`: a linear layer over the subword tokens of the context.

    The start of an answer is scored at the first subword token of a spaCy token, its end at the last one.

    Args:
        encoder: The encoder of the hidden states.
        dropout: Rate of dropout on the hidden states; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the head.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    title = "question_answering"
    task = "span"
    vector = "contexts"
    n_outputs = 2

    def __init__(
        self,
        encoder: Encoder,
        dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
        head_lr_scale: float = 1.0,
    ) -> None:
        super().__init__(encoder, dropout, head_lr_scale)

    def score(self, docs: list[Doc], is_train: bool) -> tuple[QuestionScores, Callable[[Floats], list[Doc]]]:
        """Score the starts and ends of answers; see `HeadModel`."""
        encoded, backprop_encoder = self.encode(docs, is_train)
        rows = cast(ContextRows, encoded.contexts)
        self.n_truncated += int((rows.n_cut > 0).sum())
        scores, backprop = self.run_layers(encoded, backprop_encoder, is_train, self.module)
        return QuestionScores(scores, rows), backprop


build_question_answering = QuestionModel  # the name of the architecture
