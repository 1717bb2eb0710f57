"""`spacy-bertft.TokenClassifier.v1`: documents → a score for every tag of every token."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, Optional, cast

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import CheckpointError, NotInitializedError, SettingError, TagError
from spacy_bertft.models.encoder.output import EncodedDocs, EncodedGradient, ask_for
from spacy_bertft.models.heads.head import check_head, check_stored_head, check_width, find_head_lr_scale, make_linear
from spacy_bertft.models.heads.losses import TokenGradient, TokenLoss
from spacy_bertft.models.store.serialization import CHECK
from spacy_bertft.models.store.shim import TorchShim, get_shim, has_weights
from spacy_bertft.tags import LinearChain, TagGrammar, TagScheme, build_chain, build_free_chain, build_grammar

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
        chain: The chain in which the best path is searched.
        training_chain: The chain whose likelihood is maximized.
        loss: What is minimized.
    """

    scores: NDArray[np.float32]
    token_index: NDArray[np.intp]
    token_end: NDArray[np.intp]
    lengths: NDArray[np.intp]
    chain: LinearChain
    training_chain: LinearChain
    loss: TokenLoss

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


TokenModel = Model[list[Doc], TokenScores]


def build_token_classifier(
    encoder: Model[list[Doc], EncodedDocs],
    decoder: Decoder = "crf",
    dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
    head_lr_scale: float = 1.0,
    token_loss: float = 0.0,
    label_smoothing: float = 0.0,
    consistency: float = 0.0,
) -> TokenModel:
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
    if consistency < 0 or (consistency and encoder.name == "shared_encoder"):
        raise SettingError("consistency", consistency, "a weight that is not negative, and 0 over a shared encoder")
    # Without a chain that learns, the loss is the cross-entropy of each token, and smoothing applies to all of it.
    is_smoothed = decoder != "crf" and label_smoothing > 0
    loss = TokenLoss(0.0 if is_smoothed else 1.0, token_loss + is_smoothed, label_smoothing, consistency)
    settings = HeadSettings(decoder, dropout, loss, has_two_passes=consistency > 0)
    ask_for(encoder, "tokens")
    attrs: dict[str, Any] = {"tags": [], "scheme": "", "never": [], CHECK: _check_stored}
    if dropout is None:
        attrs["dropout_rate"] = 0.0  # thinc's name; spaCy sets it before each update
    return Model(
        "token_classifier",
        partial(_forward, settings),
        init=_init,
        layers=[encoder],
        shims=[TorchShim(partial(_build_head, decoder), partial(find_head_lr_scale, head_lr_scale))],
        dims={"nO": None},
        attrs=attrs,
    )


def set_tags(model: TokenModel, tags: Sequence[str], scheme: TagScheme | None, never: Collection[str] = ()) -> None:
    """Tell the model its tags, before it is initialized.

    Args:
        model: A token classifier.
        tags: Its outputs, in order.
        scheme: The scheme they are spelled in, or nothing where any tag may follow any.
        never: Those of them that are never predicted; they need not be of the scheme.
    """
    model.attrs["tags"] = list(tags)
    model.attrs["scheme"] = scheme or ""
    model.attrs["never"] = sorted(never)


def get_grammar(model: TokenModel) -> TagGrammar:
    """Return the grammar of the model's tags."""
    return _get_grammar(tuple(model.attrs["tags"]), model.attrs["scheme"] or None, frozenset(model.attrs["never"]))


def get_scheme(model: TokenModel) -> TagScheme:
    """Return the scheme of the model's tags, which has to have one."""
    return cast(TagScheme, model.attrs["scheme"])


@lru_cache(maxsize=64)
def _get_grammar(tags: tuple[str, ...], scheme: TagScheme | None, never: frozenset[str]) -> TagGrammar:
    return build_grammar(tags, scheme, never)


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


def _check_stored(model: TokenModel) -> None:
    if not has_weights(model):
        return
    tags, scheme = model.attrs["tags"], model.attrs["scheme"]
    check_stored_head(model, len(tags))
    never = model.attrs["never"]
    if not isinstance(never, list) or not all(tag in tags for tag in never) or len(never) == len(tags):
        raise CheckpointError("The tags that are never predicted are not some of its tags.")
    if len(set(tags)) < len(tags):
        raise CheckpointError("Two of its tags are the same.")
    try:
        get_grammar(model)
    except TagError as error:
        raise CheckpointError(f"Its tags are not of the scheme '{scheme}': {error}") from error


def _build_head(decoder: str, spec: dict[str, Any]) -> TokenHead:
    return TokenHead(spec["width"], spec["n_tags"], has_chain=decoder == "crf")


def _init(model: TokenModel, X: Any = None, Y: Any = None) -> None:
    if not model.attrs["tags"]:
        raise NotInitializedError("The token classifier has no tags. Initialize it through its component.")
    encoder = model.layers[0]
    encoder.initialize(X)
    n_tags = len(model.attrs["tags"])
    get_shim(model).attach({"width": encoder.get_dim("nO"), "n_tags": n_tags})
    model.set_dim("nO", n_tags, force=True)


def _forward(
    settings: HeadSettings, model: TokenModel, docs: list[Doc], is_train: bool
) -> tuple[TokenScores, Callable[[TokenGradient], list[Doc]]]:
    encoder, head = model.layers[0], get_shim(model).module
    if is_train and settings.has_two_passes:
        docs = [*docs, *docs]
    encoded, backprop_encoder = encoder(docs, is_train)
    check_width(head.linear, encoded.token_vectors)
    vectors = encoded.token_vectors.detach().requires_grad_(is_train)
    rate = model.attrs["dropout_rate"] if settings.dropout is None else settings.dropout
    with torch.set_grad_enabled(is_train):
        scores = head.linear(torch.nn.functional.dropout(vectors, rate, training=is_train))
    chain, training_chain = _build_chains(settings.decoder, head, get_grammar(model), model.attrs["never"])

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
        chain=chain,
        training_chain=training_chain,
        loss=settings.loss,
    )
    return answer, backprop


def _build_chains(
    decoder: str, head: TokenHead, grammar: TagGrammar, never: Collection[str]
) -> tuple[LinearChain, LinearChain]:
    """Return the chain to search in and the chain to learn with."""
    free = build_free_chain(len(grammar.tags))
    if decoder == "greedy":
        return build_chain(build_grammar(grammar.tags, None, never)) if never else free, free
    legal = build_chain(grammar)
    if decoder == "viterbi":
        return legal, free
    learned = LinearChain(
        start=legal.start + _to_numpy(head.start),
        transitions=legal.transitions + _to_numpy(head.transitions),
        end=legal.end + _to_numpy(head.end),
    )
    return learned, learned


def _to_numpy(parameter: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = parameter.detach().cpu().double().numpy()
    return array


def _add_gradient(parameter: torch.Tensor, gradient: NDArray[np.float64]) -> None:
    step = torch.from_numpy(gradient).to(parameter)
    parameter.grad = step if parameter.grad is None else parameter.grad + step
