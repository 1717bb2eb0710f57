"""What `bert_ner` and `bert_tagger` share: a tag for every token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.soft_targets import read_soft_tags
from spacy_bertft.data.sentences import find_sentence_starts
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.models.heads.losses import TokenGradient
from spacy_bertft.models.heads.token import TokenModel, TokenScores
from spacy_bertft.tags.grammar import TagScheme, list_tags
from spacy_bertft.tags.schemes import TagSpan


class TokenRows(NamedTuple):
    """The tokens that each row of scores stands for: one, or several that share their piece.

    Attributes:
        token_start: `(A,)` the first token of each row.
        token_end: `(A,)` one past its last token.
    """

    token_start: NDArray[np.intp]
    token_end: NDArray[np.intp]


class TokenComponent(BertComponent):
    """A component that gives every token a tag."""

    task = "token"
    model_type = TokenModel
    architecture = "spacy-bertft.TokenClassifier.v1"

    # What a subclass says.

    scheme: TagScheme | None = None  # of the tags that `_list_tags` gives
    head_scheme: TagScheme | None = None  # of those of a head that came with a checkpoint

    def _list_tags(self) -> list[str]:
        """List the outputs of the model, in order."""
        raise NotImplementedError

    def _add_outputs(self, label: str) -> None:
        tags = list_tags(label, self.model.scheme) if self.model.scheme else [label]
        if taken := set(tags) & set(self.model.tags):
            raise SettingError("label", label, f"a name other than {', '.join(taken)}, which the head never predicts")
        self.model.add_tags(tags)

    def _allow(self, example: Example, rows: TokenRows, allowed: NDArray[np.bool_]) -> Sequence[TagSpan]:
        """Write which tags the gold annotation allows, and return the spans of rows that are known to be wrong.

        Args:
            example: An example.
            rows: The tokens of its predicted document that the model has scores for.
            allowed: `(A, L)` all true; to be narrowed in place.
        """
        raise NotImplementedError

    @property
    def outputs(self) -> Sequence[str]:
        """The tags that the head has scores for, in order."""
        return self.model.tags

    # spaCy's verbs.

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        if self._head is None:
            self.model.set_tags(self._list_tags(), self.scheme)
        else:
            self.model.set_tags(self._head.labels, self.head_scheme, self._head.never)

    def get_loss(self, examples: Iterable[Example], scores: TokenScores) -> tuple[float, TokenGradient]:
        """Compute the loss of a batch, per token, and its gradient.

        Raises:
            DataError: The examples hold a label that the component does not have, or soft targets of other tags.
            UnsupportedError: `scores` is what `predict` returns, which is decoded already.
        """
        examples = self._take_batch(examples, scores, TokenScores)
        loss, gradient = scores.compute_loss(*self._read_gold(examples, scores))
        teaching, targets = read_soft_tags(examples, self.name)
        if teaching is None:
            return loss, gradient
        if set(teaching.tags) != set(self.model.tags):
            raise DataError(
                f"{self.name}: the teachers have the tags {', '.join(teaching.tags)}, and this component has "
                f"{', '.join(self.model.tags)}. Expected the same; train the student on examples of all their labels."
            )
        columns = [teaching.tags.index(tag) for tag in self.model.tags]
        chain, weight = teaching.chain.reorder(columns), teaching.weight
        targets = np.tile(targets[:, columns], (len(scores.lengths) // len(examples), 1))  # for each pass
        soft_loss, soft_gradient = scores.compute_soft_loss(targets, chain, teaching.temperature)
        return loss + weight * soft_loss, gradient.add(soft_gradient, weight)

    def _read_gold(self, examples: list[Example], scores: TokenScores) -> tuple[NDArray[np.bool_], list[TagSpan]]:
        """Read which tags the gold annotation allows each row of one pass, `(A, L)`, and which spans are wrong."""
        lengths = scores.lengths[: len(examples)].tolist()
        allowed = np.ones((sum(lengths), scores.scores.shape[1]), dtype=np.bool_)  # (A, L) of one pass
        row, first_token = 0, 0
        wrong_spans: list[TagSpan] = []
        for example, length in zip(examples, lengths, strict=True):
            here = slice(row, row + length)
            rows = TokenRows(scores.token_index[here] - first_token, scores.token_end[here] - first_token)
            wrong = self._allow(example, rows, allowed[here])
            wrong_spans += [TagSpan(row + start, row + end, label) for start, end, label in wrong]
            row, first_token = here.stop, first_token + len(example.predicted)
        return allowed, wrong_spans

    def _compute_distillation(
        self, examples: list[Example], scores: TokenScores, tutor: TokenScores, labels: Collection[str]
    ) -> tuple[float, TokenGradient]:
        if not labels:
            return scores.compute_divergence(tutor, np.zeros(scores.scores.shape[1], dtype=np.bool_))
        is_annotated = np.isin(scores.grammar.labels, list(labels))  # (L,)
        return scores.compute_divergence(tutor, is_annotated, self._read_known(examples, scores, is_annotated))

    def _read_known(
        self, examples: list[Example], scores: TokenScores, is_annotated: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Read which tags the gold annotation allows, `(A, L)`, if it is known for some tags only."""
        return self._read_gold(examples, scores)[0]

    def predict(self, docs: Iterable[Doc]) -> Any:
        """Predict for a batch, without touching the documents."""
        docs = list(docs)
        return self._decode(docs, self.score_tokens(docs))

    def score_tokens(self, docs: list[Doc]) -> TokenScores:
        """Score the tags of every token, with the temperature that makes them probabilities to be trusted."""
        scores: TokenScores = self.model.predict(docs)
        return scores.scale_by_temperature(self.cfg.get("temperature", 1.0))

    def _decode(self, docs: list[Doc], scores: TokenScores) -> Any:
        raise NotImplementedError

    def _end_at_sentences(self, docs: list[Doc], scores: TokenScores) -> TokenScores:
        """Let the path of a sentence end with it if the encoder reads each sentence as if it came alone."""
        encoder = self.model.encoder.find_source()
        if encoder is None or encoder.settings.windows_over == "text":
            return scores
        first = np.cumsum([0, *map(len, docs)])
        starts = [first[index] + start for index, doc in enumerate(docs) for start in find_sentence_starts(doc) or ()]
        ends = np.union1d(np.cumsum(scores.lengths), np.searchsorted(scores.token_index, starts))
        return replace(scores, lengths=np.diff(ends, prepend=0))
