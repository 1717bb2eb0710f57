"""`spacy-bertft.TokenClassifier.v1`: documents → a score for every tag of every token."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, Optional, get_args

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.errors import CheckpointError, SettingError, TagError, check_setting
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.heads.head import HeadModel, make_stored, read_layers
from spacy_bertft.models.heads.losses import TokenGradient, TokenLoss
from spacy_bertft.tags.candidates import compute_span_probs, find_candidates
from spacy_bertft.tags.chain import best_paths
from spacy_bertft.tags.divergence import chain_divergence, pad_chain
from spacy_bertft.tags.forward_backward import LinearChain, build_chain, build_free_chain
from spacy_bertft.tags.grammar import TagGrammar, TagScheme, build_grammar
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.tags.spans import SpanBatch, find_spans

Decoder = Literal["crf", "viterbi", "greedy"]


@dataclass(frozen=True)
class TokenScores:
    """The scores of a token classifier for a batch of documents, and the loss that it minimizes.

    Attributes:
        scores: `(A, L)` float32, one row for each token that has a subword token, document after document. Tokens
            that share theirs are one row.
        token_index: `(A,)` the first token of each row, counted through the whole batch.
        token_end: `(A,)` one past its last token.
        lengths: `(B,)` rows per document; in training `(2·B,)` where each goes through the model twice.
        grammar: The tags, and what continues what.
        chain: The chain in which the best path is searched.
        training_chain: The chain whose likelihood is maximized.
        loss: What is minimized.
    """

    scores: NDArray[np.float32]
    token_index: NDArray[np.intp]
    token_end: NDArray[np.intp]
    lengths: NDArray[np.intp]
    grammar: TagGrammar
    chain: LinearChain
    training_chain: LinearChain
    loss: TokenLoss

    def find_best_paths(self) -> NDArray[np.intp]:
        """Find the best path of every sequence, `(A,)`."""
        return best_paths(self.scores, self.lengths, self.chain)

    def find_spans(self, path: NDArray[np.intp]) -> SpanBatch:
        """Find the spans that paths spell, each with its probability."""
        return find_spans(path, self.scores, self.lengths, self.grammar, self.chain)

    def find_candidates(self, threshold: float) -> SpanBatch:
        """Find all spans whose probability is at least a threshold, which may overlap."""
        return find_candidates(self.scores, self.lengths, self.grammar, self.chain, threshold)

    def compute_span_probs(self, spans: Sequence[TagSpan]) -> NDArray[np.float64]:
        """Compute the probability of spans of rows, `(S,)`: 0 for one without rows, or of several sequences."""
        return compute_span_probs(spans, self.scores, self.lengths, self.grammar, self.chain)

    def compute_loss(self, allowed: NDArray[np.bool_], wrong: Sequence[TagSpan] = ()) -> tuple[float, TokenGradient]:
        """Compute the loss of the batch, per token, and its gradient.

        Args:
            allowed: `(A, L)` the tags that the gold annotation allows the tokens of each row, in one pass.
            wrong: Spans of such rows that are known to be wrong.
        """
        return self.loss.compute(self.scores, self.lengths, self.training_chain, allowed, self.grammar, wrong)

    def compute_divergence(
        self, tutor: "TokenScores", is_added: NDArray[np.bool_], allowed: NDArray[np.bool_] | None = None
    ) -> tuple[float, TokenGradient]:
        """Compute how far the probabilities of paths are from those of another head, per row, and the gradient.

        Args:
            tutor: What a head that has the first of these tags gives for the same documents.
            is_added: `(L,)` the further tags that are looked at.
            allowed: `(A, L)` the tags that gold annotation allows each row, in one pass. The target is the distribution
                of the other head among these paths; where it has none of these tags, all of them are as likely.
        """
        n_passes = len(self.scores) // max(1, len(tutor.scores))
        n_tags, n_known = self.scores.shape[1], tutor.scores.shape[1]
        target = np.full(self.scores.shape, -np.inf)
        target[:, :n_known] = np.tile(tutor.scores, (n_passes, 1))
        if allowed is not None:
            allowed = np.tile(allowed, (n_passes, 1))
            target[~allowed[:, :n_known].any(axis=1)] = 0.0
            target[~allowed] = -np.inf
        scores = np.where(is_added | (np.arange(n_tags) < n_known), self.scores, -np.inf)
        chain = pad_chain(tutor.training_chain, self.training_chain)
        loss, by_score, by_chain = chain_divergence(scores, self.training_chain, target, chain, self.lengths)
        n_rows = max(1, len(scores))
        return loss / n_rows, TokenGradient(by_score / n_rows, LinearChain(*(each / n_rows for each in by_chain)))

    def compute_soft_loss(
        self, targets: NDArray[np.floating], chain: LinearChain, temperature: float
    ) -> tuple[float, TokenGradient]:
        """Compute how far the probabilities of paths are from those that teachers give, per row, and the gradient.

        It is multiplied by the square of the temperature, so that its gradient does not shrink with it.

        Args:
            targets: `(T, L)` their scores of all tokens of the batch; NaN where there are none.
            chain: Their chain; what this one forbids, it forbids too.
            temperature: What the scores of both are divided by.

        Source: Hinton, Vinyals & Dean (2015), section 2; Wang et al. (2020), section 3.1.
        """
        target = targets[self.token_index].astype(np.float64)  # (A, L)
        has_target = ~np.isnan(target[:, 0])
        ends = np.cumsum(self.lengths)
        n_before = np.append(0, np.cumsum(has_target))
        is_taught = n_before[ends] > n_before[ends - self.lengths]  # (B,)
        rows = np.repeat(is_taught, self.lengths)  # of these sequences
        own_chain = self.training_chain.scale_by_temperature(temperature)
        chain = pad_chain(chain.scale_by_temperature(temperature), own_chain)
        # Of a token that no subword token of the teachers begins at, they say nothing: what is predicted stays.
        target = np.where(has_target[:, None], target, self.scores)[rows] / temperature
        loss, by_score, by_chain = chain_divergence(
            self.scores[rows] / temperature, own_chain, target, chain, self.lengths[is_taught]
        )
        n_rows = max(1, int(rows.sum()))
        gradient = np.zeros(self.scores.shape)
        gradient[rows] = by_score * (temperature / n_rows)
        by_chain = LinearChain(*(each * (temperature / n_rows) for each in by_chain))
        return loss * temperature**2 / n_rows, TokenGradient(gradient, by_chain)

    def scale_by_temperature(self, temperature: float) -> "TokenScores":
        """Divide the scores that predict by a temperature above 0; the best path stays the best."""
        if temperature == 1:
            return self
        scores = self.scores / np.float32(temperature)
        return replace(self, scores=scores, chain=self.chain.scale_by_temperature(temperature))


class TokenModel(HeadModel[TokenScores]):
    """`spacy-bertft.TokenClassifier.v1`: a linear layer over the first subword token of each token, and a decoder.

    Args:
        encoder: The encoder of the hidden states.
        decoder: `"crf"` learns scores for the transitions between tags and is trained on whole sequences. `"viterbi"`
            is trained on each token separately and finds the best valid tag sequence; imported heads use it.
            `"greedy"` takes the best tag of each token.
        dropout: Rate of dropout on the hidden states; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the linear layer and the decoder.
        token_loss: Weight of the cross-entropy of each token, added to the loss of the whole sequence.
        label_smoothing: Share of the target of that cross-entropy that is spread over all tags. Where tokens are
            trained separately (`"viterbi"`, `"greedy"`), the whole loss is smoothed.
        consistency: Weight of R-Drop: the divergence between two passes through the model, each with its own dropout.
            Above 0, a training step takes twice as long. Needs an encoder of its own.

    Attributes:
        tags: The outputs, in order.
        scheme: The scheme of the tags, empty where any tag may follow any.
        never: The tags that are never predicted.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    title = "token_classifier"
    task = "token"
    vector = "tokens"
    size = "n_tags"
    tags: list[str] = make_stored("tags")
    scheme: TagScheme = make_stored("scheme")
    never: list[str] = make_stored("never")

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder = "crf",
        dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
        head_lr_scale: float = 1.0,
        token_loss: float = 0.0,
        label_smoothing: float = 0.0,
        consistency: float = 0.0,
    ) -> None:
        parse_choice("decoder", decoder, get_args(Decoder))
        check_setting("token_loss", token_loss, token_loss >= 0, "a weight that is not negative")
        if not 0 <= label_smoothing < 1 or (label_smoothing and not token_loss and decoder == "crf"):
            expected = "a share below 1; with the decoder crf, also a token_loss above 0, which is what is smoothed"
            raise SettingError("label_smoothing", label_smoothing, expected)
        if consistency < 0 or (consistency and isinstance(encoder, SharedEncoder)):
            raise SettingError("consistency", consistency, "a weight that is not negative, and 0 over a shared encoder")
        # Without a chain that learns, the loss is the cross-entropy of each token, and smoothing applies to all of it.
        is_smoothed = decoder != "crf" and label_smoothing > 0
        loss = TokenLoss(0.0 if is_smoothed else 1.0, token_loss + is_smoothed, label_smoothing, consistency)
        build = partial(_build_head, decoder)
        super().__init__(encoder, dropout, head_lr_scale, build, tags=[], scheme="", never=[])
        self.decoder = decoder
        self.loss = loss

    def set_tags(self, tags: Sequence[str], scheme: TagScheme | None, never: Collection[str] = ()) -> None:
        """Set the tags, before the model is initialized.

        Args:
            tags: The outputs, in order.
            scheme: The scheme they are spelled in, or None where any tag may follow any.
            never: Those of them that are never predicted; they need not be of the scheme.
        """
        self.attrs.update(tags=list(tags), scheme=scheme or "", never=sorted(never))

    def add_tags(self, tags: Sequence[str]) -> None:
        """Append outputs to an initialized head; see `HeadModel.grow`."""
        self.set_tags([*self.tags, *tags], self.scheme or None, self.never)
        self.grow(len(self.tags), self.tags.index("O") if self.scheme else None)

    @property
    def n_outputs(self) -> int:
        """One for each tag."""
        return len(self.tags)

    @property
    def grammar(self) -> TagGrammar:
        """Which tag may follow which."""
        return self._get_chains().grammar

    def _get_chains(self) -> "_Chains":
        return _build_chains(self.decoder, tuple(self.tags), self.scheme or None, frozenset(self.never))

    def check_stored(self) -> None:
        """Raise unless what was read from bytes fits together.

        Raises:
            CheckpointError: It does not.
        """
        super().check_stored()
        if not self.is_initialized:
            return
        tags, never = self.tags, self.never
        if not all(tag in tags for tag in never) or len(never) == len(tags):
            raise CheckpointError("The tags that are never predicted are not some of its tags.")
        if len(set(tags)) < len(tags):
            raise CheckpointError("Two of its tags are the same.")
        try:
            self._get_chains()
        except TagError as error:
            raise CheckpointError(f"Its tags are not of the scheme '{self.scheme}': {error}") from error

    def score(self, docs: list[Doc], is_train: bool) -> tuple[TokenScores, Callable[[TokenGradient], list[Doc]]]:
        """Score the tags of documents; see `HeadModel`."""
        head = self.module
        if is_train and self.loss.consistency:  # two passes, each with its own dropout
            docs = [*docs, *docs]
        encoded, backprop_encoder = self.encode(docs, is_train)
        scores, backprop_scores = self.run_layers(encoded, backprop_encoder, is_train, head)
        chains = self._get_chains()
        if self.decoder == "crf":
            learned = LinearChain(*map(np.add, chains.chain, head.chain))
            chains = chains._replace(chain=learned, training_chain=learned)

        def backprop(gradient: TokenGradient) -> list[Doc]:
            if self.decoder == "crf":
                for name in LinearChain._fields:
                    parameter = getattr(head, name)
                    step = parameter.new_tensor(getattr(gradient.chain, name))
                    parameter.grad = step if parameter.grad is None else parameter.grad + step
            return backprop_scores(gradient.scores)

        rows = encoded.token_index, encoded.token_end, encoded.lengths
        return TokenScores(scores, *rows, *chains, self.loss), backprop


build_token_classifier = TokenModel  # the name of the architecture


def _build_head(decoder: str, spec: dict[str, Any]) -> Any:
    from spacy_bertft.models.heads.layers import TokenHead  # which needs torch

    return TokenHead(spec["width"], spec["n_tags"], has_chain=decoder == "crf", **read_layers(spec))


class _Chains(NamedTuple):
    """What follows from the tags alone.

    Attributes:
        grammar: Which tag may follow which.
        chain: The chain to search in, without what is learned.
        training_chain: The chain to learn with, without what is learned.
    """

    grammar: TagGrammar
    chain: LinearChain
    training_chain: LinearChain


@lru_cache(maxsize=64)  # built once, not for each batch
def _build_chains(decoder: Decoder, tags: tuple[str, ...], scheme: TagScheme | None, never: frozenset[str]) -> _Chains:
    grammar, free = build_grammar(tags, scheme, never), build_free_chain(len(tags))
    if decoder == "greedy":
        return _Chains(grammar, build_chain(build_grammar(tags, None, never)), free)
    valid = build_chain(grammar)
    return _Chains(grammar, valid, free if decoder == "viterbi" else valid)
