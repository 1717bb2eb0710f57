"""The order of the training data, and the past of a run, replayed without learning."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

from spacy.attrs import DEP, ENT_IOB, ENT_TYPE, HEAD, LEMMA, MORPH, ORTH, POS, SENT_START, TAG
from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import subdivide_batch
from thinc.api import Optimizer
from tqdm import tqdm

from spacy_bertft.components.pipelines import annotate_in_training
from spacy_bertft.errors import DataError
from spacy_bertft.models.encoder.build import BertEncoder
from spacy_bertft.models.heads.head import find_own_encoder
from spacy_bertft.resuming.snapshot import Evaluation, Snapshot
from spacy_bertft.training.randomness import RandomState, get_random_state, keep_random_state, set_random_state

Batch = list[Example]
_GOLD = [ORTH, TAG, POS, MORPH, LEMMA, HEAD, DEP, SENT_START, ENT_IOB, ENT_TYPE]


class DataOrder:
    """Draw batches with random numbers of their own, so that those which components draw do not change the order.

    They start at the present state of Python's and NumPy's generators. As long as no component draws any, the order is
    that of `spacy train`.

    Args:
        batches: Epochs and batches, as spaCy makes them; none is drawn yet.
        start: The state in which they start, to repeat an order.

    Attributes:
        start: The state in which they started.
        fingerprint: Of the words and the gold annotation of all batches so far.
    """

    def __init__(self, batches: Iterator[tuple[int, Batch]], start: RandomState | None = None) -> None:
        self.start = start or get_random_state()
        self.fingerprint = 0
        self._batches = batches
        self._own = self.start

    def __iter__(self) -> DataOrder:
        """Return itself: there is one order only."""
        return self

    def __next__(self) -> tuple[int, Batch]:
        """Draw a batch."""
        with keep_random_state():
            set_random_state(self._own)
            epoch, batch = next(self._batches)
            batch = list(batch)
            self._own = get_random_state()
        for example in batch:
            gold = example.reference
            spans = [group.to_bytes() for _, group in sorted(gold.spans.items())]
            tokens = [example.predicted.to_array(ORTH).tobytes(), gold.to_array(_GOLD).tobytes()]
            self.fingerprint = zlib.crc32(b"".join(tokens + spans + [repr(gold.cats).encode()]), self.fingerprint)
        return epoch, batch


Scores = tuple[float, dict[str, Any]]
Evaluate = Callable[[], Scores]


@dataclass(eq=False)
class Replay:
    """Bring spaCy's loop to where a snapshot was made, with empty batches and the past scores.

    So its schedules, its patience and its best score are as they were. Cached states of a frozen encoder are computed
    again, in the same batches, since in others they could differ in their last bits.

    Args:
        snapshot: Where to go; None at the start of a training.
        nlp: The pipeline; it has the weights of the snapshot.
        optimizer: Its optimizer.
        batches: All batches from the first one on.
        accumulate_gradient: Into how many parts spaCy cuts a batch.

    Attributes:
        evaluations: All evaluations so far.
        is_over: Whether the past is over, so that the next batches are trained on.
    """

    snapshot: Snapshot | None
    nlp: Language
    optimizer: Optimizer
    batches: DataOrder
    accumulate_gradient: int
    evaluations: list[Evaluation] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.is_over = self.snapshot is None
        self._batch: Batch = []
        self._past = self.snapshot.progress.evaluations if self.snapshot else []

    def draw(self) -> Iterator[tuple[int, Batch]]:
        """Draw batches: empty ones up to the snapshot, then those that come next.

        Raises:
            DataError: The training data have changed.
        """
        if self._past:
            n_steps = self._past[-1].step + 1
            past = islice(self.batches, n_steps)
            for epoch, batch in tqdm(past, desc="Replaying", total=n_steps, leave=False, disable=None):
                self._batch = batch
                yield epoch, []
                self._fill_caches()
            self.end()
        yield from self.batches

    def end(self) -> None:
        """End the past, if it has not ended yet, and put everything back as it was.

        Raises:
            DataError: The training data have changed.
        """
        if self.snapshot is None or self.is_over:
            return
        if self.batches.fingerprint != self.snapshot.progress.fingerprint:
            raise DataError(
                "The training data are not those that the training was started with. Put them back, or start it again "
                "with --overwrite."
            )
        self.snapshot.put_state(self.nlp, self.optimizer)
        self.is_over = True

    def evaluate(self, evaluate: Evaluate) -> Scores:
        """Return the next past scores, or evaluate."""
        index = len(self.evaluations)
        if index >= len(self._past):
            return evaluate()
        if index == 0 and self._list_cached():
            self._fill_caches()
            evaluate()
        return self._past[index].score, self._past[index].other_scores

    def note(self, info: dict[str, Any]) -> dict[str, Any]:
        """Record an evaluation as spaCy's loop reports it; a past one is returned as it was."""
        index = len(self.evaluations)
        if index < len(self._past):
            past = self._past[index]
            info = info | {"losses": past.losses, "words": past.words, "seconds": past.seconds}
        elif self._past:
            last = self._past[-1]
            info = info | {"words": info["words"] + last.words, "seconds": info["seconds"] + last.seconds}
        self.evaluations.append(Evaluation(**{each.name: info[each.name] for each in fields(Evaluation)}))
        return info

    def _fill_caches(self) -> None:
        """Compute the states of the last batch as its step did: after `before_update`, which may freeze an encoder."""
        batch, self._batch = self._batch, []
        cached = self._list_cached()
        if cached:
            annotate_in_training(self.nlp, batch)  # states depend on pairs and sentences
        for part in subdivide_batch(batch, self.accumulate_gradient):  # type: ignore[no-untyped-call]
            for model in cached:
                model.begin_update([example.predicted for example in part])

    def _list_cached(self) -> list[BertEncoder]:
        models = [getattr(pipe, "model", None) for _, pipe in self.nlp.pipeline]
        encoders = [find_own_encoder(model) for model in models]
        return [encoder for encoder in encoders if isinstance(encoder, BertEncoder) and encoder.keeps_states]
