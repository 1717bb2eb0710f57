"""`spacy-bertft.TokenClassifier.v1`: documents → a score for every tag of every token."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, Optional, cast

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.errors import CheckpointError, NotInitializedError, SettingError, TagError
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.output import EncodedGradient
from spacy_bertft.models.heads.head import (
    HeadModel,
    check_head,
    check_stored_head,
    check_width,
    find_head_lr_scale,
    make_linear,
)
from spacy_bertft.models.heads.losses import TokenGradient, TokenLoss
from spacy_bertft.models.store.shim import TorchShim
from spacy_bertft.tags.chain import best_paths, build_chain, build_free_chain
from spacy_bertft.tags.forward_backward import LinearChain
from spacy_bertft.tags.grammar import TagGrammar, TagScheme, build_grammar
from spacy_bertft.tags.spans import SpanBatch, find_spans

Decoder = Literal["crf", "viterbi", "greedy"]
DECODERS = ("crf", "viterbi", "greedy")


@dataclass(frozen=True)
class TokenScores:
    """The scores of a token classifier for a batch of documents, and the loss that it minimizes.

    Attributes:
        scores: `(A, L)` float32, one row for each token that has a piece, document after document. Tokens that share
            their piece are one row.
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

    def compute_loss(self, allowed: NDArray[np.bool_]) -> tuple[float, TokenGradient]:
        """Compute the loss of the batch, per token, and its gradient.

        Args:
            allowed: `(A, L)` the tags that the gold annotation allows the tokens of each row, in one pass.
        """
        return self.loss.compute(self.scores, self.lengths, self.training_chain, allowed)

    def scale_by_temperature(self, temperature: float) -> "TokenScores":
        """Divide the scores that predict by a temperature above 0; the best path stays the best."""
        if temperature == 1:
            return self
        scores = self.scores / np.float32(temperature)
        return replace(self, scores=scores, chain=self.chain.scale_by_temperature(temperature))


@dataclass(frozen=True)
class HeadSettings:
    """The settings of a head, as in its config section; see `build_token_classifier`."""

    decoder: Decoder
    dropout: float | None
    loss: TokenLoss
    has_two_passes: bool


def build_token_classifier(
    encoder: Encoder,
    decoder: Decoder = "crf",
    dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
    head_lr_scale: float = 1.0,
    token_loss: float = 0.0,
    label_smoothing: float = 0.0,
    consistency: float = 0.0,
) -> "TokenModel":
    """Build a linear layer over the first piece of each token, and a decoder over its scores.

    Args:
        encoder: Gives the states.
        decoder: `"crf"` learns scores for the transitions between tags and is trained on whole sequences. `"viterbi"`
            is trained on each token by itself and searches the best legal sequence; a head that comes from elsewhere
            gets it. `"greedy"` takes the best tag of each token.
        dropout: Rate of dropout on the states; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the layer and the decoder.
        token_loss: Weight of the cross-entropy of each token by itself, added to the loss of the whole sequence.
        label_smoothing: Share of the target of that cross-entropy that is spread over all tags. Where tokens are
            trained by themselves (`"viterbi"`, `"greedy"`), the whole loss is smoothed.
        consistency: Weight of the divergence between two passes through the model, each with its own dropout. If it is
            not 0, a step of training takes twice as long. Only over an encoder of its own.

    Raises:
        SettingError: A setting is outside what is allowed.
    """
    if decoder not in DECODERS:
        raise SettingError("decoder", decoder, f"one of {', '.join(DECODERS)}")
    check_head(dropout, head_lr_scale)
    if token_loss < 0:
        raise SettingError("token_loss", token_loss, "a weight that is not negative")
    if not 0 <= label_smoothing < 1 or (label_smoothing and not token_loss and decoder == "crf"):
        expected = "a share below 1; with the decoder crf, also a token_loss above 0, which is what is smoothed"
        raise SettingError("label_smoothing", label_smoothing, expected)
    if consistency < 0 or (consistency and isinstance(encoder, SharedEncoder)):
        raise SettingError("consistency", consistency, "a weight that is not negative, and 0 over a shared encoder")
    # Without a chain that learns, the loss is the cross-entropy of each token, and smoothing applies to all of it.
    is_smoothed = decoder != "crf" and label_smoothing > 0
    loss = TokenLoss(0.0 if is_smoothed else 1.0, token_loss + is_smoothed, label_smoothing, consistency)
    settings = HeadSettings(decoder, dropout, loss, has_two_passes=consistency > 0)
    return TokenModel(encoder, settings, head_lr_scale)


class _Decoding(NamedTuple):
    """What follows from the tags alone.

    Attributes:
        tags: The tags, as `TokenModel.tags` has them.
        grammar: Which tag may follow which.
        chain: The chain to search in, without what is learned.
        training_chain: The chain to learn with, without what is learned.
    """

    tags: list[str]
    grammar: TagGrammar
    chain: LinearChain
    training_chain: LinearChain


class TokenModel(HeadModel[TokenScores]):
    """A thinc model that scores the tags of tokens.

    Args:
        encoder: Gives the states.
        settings: The settings of the head.
        head_lr_scale: Factor on the learning rate of the head.
    """

    def __init__(self, encoder: Encoder, settings: HeadSettings, head_lr_scale: float) -> None:
        attrs: dict[str, Any] = {"tags": [], "scheme": "", "never": []}  # which thinc stores
        if settings.dropout is None:
            attrs["dropout_rate"] = 0.0  # thinc's name; spaCy sets it before each update
        HeadModel.__init__(
            self,
            "token_classifier",
            TokenModel.score,
            init=TokenModel.build_head,
            layers=[encoder],
            shims=[TorchShim(partial(_build_head, settings.decoder), partial(find_head_lr_scale, head_lr_scale))],
            dims={"nO": None},
            attrs=attrs,
        )
        self.settings = settings
        self._decoding: _Decoding | None = None
        encoder.require("tokens")

    def set_tags(self, tags: Sequence[str], scheme: TagScheme | None, never: Collection[str] = ()) -> None:
        """Set the tags, before the model is initialized.

        Args:
            tags: The outputs, in order.
            scheme: The scheme they are spelled in, or None where any tag may follow any.
            never: Those of them that are never predicted; they need not be of the scheme.
        """
        self.attrs.update(tags=list(tags), scheme=scheme or "", never=sorted(never))

    @property
    def tags(self) -> list[str]:
        """The outputs, in order."""
        tags: list[str] = self.attrs["tags"]
        return tags

    @property
    def scheme(self) -> TagScheme:
        """The scheme of the tags, empty where any tag may follow any."""
        return cast(TagScheme, self.attrs["scheme"])

    @property
    def never(self) -> list[str]:
        """The tags that are never predicted."""
        never: list[str] = self.attrs["never"]
        return never

    @property
    def grammar(self) -> TagGrammar:
        """Which tag may follow which."""
        return self._get_decoding().grammar

    def _get_decoding(self) -> _Decoding:
        # A new list of tags comes with every change: by `set_tags`, or from bytes.
        if self._decoding is None or self._decoding.tags is not self.tags:
            grammar = build_grammar(tuple(self.tags), self.scheme or None, frozenset(self.never))
            self._decoding = _Decoding(self.tags, grammar, *_build_chains(self.settings.decoder, grammar, self.never))
        return self._decoding

    def check_stored(self) -> None:
        """Raise unless what was read from bytes fits together.

        Raises:
            CheckpointError: It does not.
        """
        if not self.is_initialized:
            return
        tags, never = self.tags, self.never
        check_stored_head(self, len(tags))
        if not isinstance(never, list) or not all(tag in tags for tag in never) or len(never) == len(tags):
            raise CheckpointError("The tags that are never predicted are not some of its tags.")
        if len(set(tags)) < len(tags):
            raise CheckpointError("Two of its tags are the same.")
        try:
            self._get_decoding()
        except TagError as error:
            raise CheckpointError(f"Its tags are not of the scheme '{self.scheme}': {error}") from error

    def build_head(self, X: Any = None, Y: Any = None) -> None:
        """Build the head and load the encoder; thinc calls this to initialize the model.

        Raises:
            NotInitializedError: There are no tags.
        """
        if not self.tags:
            raise NotInitializedError("The token classifier has no tags. Initialize it through its component.")
        self.encoder.initialize(X)
        self.shim.attach({"width": self.encoder.get_dim("nO"), "n_tags": len(self.tags)})
        self.set_dim("nO", len(self.tags), force=True)

    def score(self, docs: list[Doc], is_train: bool) -> tuple[TokenScores, Callable[[TokenGradient], list[Doc]]]:
        """Score documents, and return what sends a gradient back; thinc's forward function."""
        settings, head = self.settings, self.module
        if is_train and settings.has_two_passes:
            docs = [*docs, *docs]
        encoded, backprop_encoder = self.encode(docs, is_train)
        check_width(head.linear, encoded.token_vectors)
        vectors = encoded.token_vectors.detach().requires_grad_(is_train)
        rate = self.attrs["dropout_rate"] if settings.dropout is None else settings.dropout
        with torch.set_grad_enabled(is_train):
            scores = head.linear(torch.nn.functional.dropout(vectors, rate, training=is_train))
        decoding = self._get_decoding()
        chain, training_chain = decoding.chain, decoding.training_chain
        if settings.decoder == "crf":
            chain = training_chain = _add_learned(chain, head)

        def backprop(gradient: TokenGradient) -> list[Doc]:
            torch.autograd.backward(scores, torch.from_numpy(gradient.scores).to(scores))
            if settings.decoder == "crf":
                for name in ("start", "transitions", "end"):
                    _add_gradient(getattr(head, name), getattr(gradient.chain, name))
            docs: list[Doc] = backprop_encoder(EncodedGradient(token_vectors=vectors.grad))
            return docs

        answer = TokenScores(
            scores=scores.detach().cpu().numpy(),
            token_index=encoded.token_index,
            token_end=encoded.token_end,
            lengths=encoded.lengths,
            grammar=decoding.grammar,
            chain=chain,
            training_chain=training_chain,
            loss=settings.loss,
        )
        return answer, backprop


class TokenHead(torch.nn.Module):
    """A linear layer from states to tag scores, and the transition scores of a conditional random field.

    Args:
        width: Width of the states.
        n_tags: How many tags there are.
        has_chain: Whether transitions are learned.
    """

    def __init__(self, width: int, n_tags: int, *, has_chain: bool) -> None:
        super().__init__()
        self.linear = make_linear(width, n_tags)
        if has_chain:
            self.start = torch.nn.Parameter(torch.zeros(n_tags))
            self.transitions = torch.nn.Parameter(torch.zeros(n_tags, n_tags))
            self.end = torch.nn.Parameter(torch.zeros(n_tags))


def _build_head(decoder: str, spec: dict[str, Any]) -> TokenHead:
    return TokenHead(spec["width"], spec["n_tags"], has_chain=decoder == "crf")


def _build_chains(decoder: Decoder, grammar: TagGrammar, never: Collection[str]) -> tuple[LinearChain, LinearChain]:
    """Return the chain to search in and the chain to learn with, without what is learned."""
    free = build_free_chain(len(grammar.tags))
    if decoder == "greedy":
        return build_chain(build_grammar(grammar.tags, None, never)) if never else free, free
    valid = build_chain(grammar)
    return valid, free if decoder == "viterbi" else valid


def _add_learned(chain: LinearChain, head: TokenHead) -> LinearChain:
    return LinearChain(
        start=chain.start + _to_numpy(head.start),
        transitions=chain.transitions + _to_numpy(head.transitions),
        end=chain.end + _to_numpy(head.end),
    )


def _to_numpy(parameter: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = parameter.detach().cpu().double().numpy()
    return array


def _add_gradient(parameter: torch.Tensor, gradient: NDArray[np.float64]) -> None:
    step = torch.from_numpy(gradient).to(parameter)
    parameter.grad = step if parameter.grad is None else parameter.grad + step
