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
from spacy_bertft.models.store.serialization import CHECK
from spacy_bertft.models.store.shim import TorchShim, get_shim, has_weights
from spacy_bertft.tags import (
    ChainGradient,
    LinearChain,
    TagGrammar,
    TagScheme,
    build_bare_grammar,
    build_chain,
    build_free_chain,
    build_free_grammar,
    build_grammar,
    forbid_tags,
)

Decoder = Literal["crf", "viterbi", "greedy"]
DECODERS = ("crf", "viterbi", "greedy")


@dataclass(frozen=True)
class TokenScores:
    """The answer of a token classifier for a batch of documents.

    Attributes:
        scores: `(A, L)` float32, one row for each token that has a piece, document after document. Tokens that share
            their piece are one row.
        token_index: `(A,)` the first token of each row, counted through the whole batch.
        token_end: `(A,)` one past its last token.
        lengths: `(B,)` rows per document; in training `(2·B,)` where each goes through the model twice.
        chain: The chain in which the best path is searched.
        training_chain: The chain whose likelihood is the loss.
        chain_loss: Weight of that loss: 1, or 0 where a smoothed cross-entropy of each token replaces it.
        token_loss: Weight of the cross-entropy of each token that is added to it.
        label_smoothing: Smoothing of that cross-entropy.
        consistency: Weight of the divergence between two passes.
    """

    scores: NDArray[np.float32]
    token_index: NDArray[np.intp]
    token_end: NDArray[np.intp]
    lengths: NDArray[np.intp]
    chain: LinearChain
    training_chain: LinearChain
    chain_loss: float
    token_loss: float
    label_smoothing: float
    consistency: float

    def cool(self, temperature: float) -> "TokenScores":
        """Divide the scores that predict by a temperature above 0; the best path stays the best."""
        if temperature == 1:
            return self
        scores = self.scores / np.float32(temperature)
        return replace(self, scores=scores, chain=self.chain.cool(temperature))


@dataclass(frozen=True)
class HeadSettings:
    """The settings of a head, as in its config section; see `build_token_classifier`."""

    decoder: Decoder
    dropout: float | None
    token_loss: float
    label_smoothing: float
    consistency: float


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
    settings = HeadSettings(decoder, dropout, token_loss, label_smoothing, consistency)
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
    return _get_grammar(tuple(model.attrs["tags"]), model.attrs["scheme"], frozenset(model.attrs["never"]))


def get_scheme(model: TokenModel) -> TagScheme:
    """Return the scheme of the model's tags, which has to have one."""
    return cast(TagScheme, model.attrs["scheme"])


@lru_cache(maxsize=64)
def _get_grammar(tags: tuple[str, ...], scheme: TagScheme | Literal[""], never: frozenset[str]) -> TagGrammar:
    spelled = ["O" if tag in never else tag for tag in tags]
    if scheme == "bare":
        grammar = build_bare_grammar(spelled)
    else:
        grammar = build_grammar(spelled, scheme) if scheme else build_free_grammar(spelled)
    return forbid_tags(replace(grammar, tags=tags), never)


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
) -> tuple[TokenScores, Callable[[ChainGradient], list[Doc]]]:
    encoder, head = model.layers[0], get_shim(model).module
    if is_train and settings.consistency:
        docs = [*docs, *docs]
    encoded, backprop_encoder = encoder(docs, is_train)
    check_width(head.linear, encoded.token_vectors)
    vectors = encoded.token_vectors.detach().requires_grad_(is_train)
    rate = model.attrs["dropout_rate"] if settings.dropout is None else settings.dropout
    with torch.set_grad_enabled(is_train):
        scores = head.linear(torch.nn.functional.dropout(vectors, rate, training=is_train))
    chain, training_chain = _build_chains(settings.decoder, head, get_grammar(model), model.attrs["never"])

    def backprop(gradient: ChainGradient) -> list[Doc]:
        torch.autograd.backward(scores, torch.from_numpy(gradient.scores).to(scores))
        if settings.decoder == "crf":
            _add_gradient(head.start, gradient.start)
            _add_gradient(head.transitions, gradient.transitions)
            _add_gradient(head.end, gradient.end)
        docs: list[Doc] = backprop_encoder(EncodedGradient(token_vectors=vectors.grad))
        return docs

    # Without a chain that learns, the loss is the cross-entropy of each token, and smoothing applies to all of it.
    is_smoothed = settings.decoder != "crf" and settings.label_smoothing > 0
    answer = TokenScores(
        scores=scores.detach().cpu().numpy(),
        token_index=encoded.token_index,
        token_end=encoded.token_end,
        lengths=encoded.lengths,
        chain=chain,
        training_chain=training_chain,
        chain_loss=0.0 if is_smoothed else 1.0,
        token_loss=settings.token_loss + (1.0 if is_smoothed else 0.0),
        label_smoothing=settings.label_smoothing,
        consistency=settings.consistency,
    )
    return answer, backprop


def _build_chains(
    decoder: str, head: TokenHead, grammar: TagGrammar, never: Collection[str]
) -> tuple[LinearChain, LinearChain]:
    """Return the chain to search in and the chain to learn with."""
    free = build_free_chain(len(grammar.tags))
    if decoder == "greedy":
        return build_chain(forbid_tags(build_free_grammar(grammar.tags), never)) if never else free, free
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
