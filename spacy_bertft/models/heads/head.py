"""What the heads share: their encoder, how their layers start, and their form as a checkpoint of transformers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.checkpoints import Checkpoint, CheckpointHead, Task, read_head
from spacy_bertft.checkpoints.heads import TASKS, HeadLayout, Pooling, describe_pooling, find_head_layout
from spacy_bertft.checkpoints.weights import load_weights, name_some
from spacy_bertft.errors import (
    CheckpointError,
    NotInitializedError,
    SettingError,
    ShapeError,
    UnsupportedError,
    check_setting,
)
from spacy_bertft.models.encoder.build import BertEncoder, Encoder, PretrainedModel
from spacy_bertft.models.encoder.loading import build_described, convert_to_stored, find_unused
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, Output
from spacy_bertft.models.encoder.trainable import merge_adapter
from spacy_bertft.models.store.shim import OutT, TorchModel, TorchShim

# Added to the bias of outputs that a trained head is given, so that they win nowhere before they have learned.
BIAS_OF_NEW = -5.0

_MAX_LEARN_RATE = 5e-4  # above it, fine-tuning tends to undo what pretraining gave

DENSE = ("cls", "mean_dense")  # the poolings that have a dense layer

_watched: ContextVar[list[EncodedDocs] | None] = ContextVar("watched", default=None)


@contextmanager
def watch_states() -> Iterator[list[EncodedDocs]]:
    """Collect the states that heads see while the context is open, of this thread alone."""
    seen: list[EncodedDocs] = []
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


class HeadModel(TorchModel[list[Doc], OutT]):
    """A thinc model with a head, which scores what its encoder makes of documents.

    Args:
        encoder: Gives the states.
        dropout: Rate of dropout on the states; None for that of `[training]`.
        head_lr_scale: Factor on the learning rate of the head.
        build: Makes the torch module of the head from its description; by default `build_layers`.
        **attrs: What thinc stores with the weights.

    Attributes:
        n_truncated: How many pairs, questions or endings it did not read to their ends, because they did not fit.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    title: str  # its name for thinc
    task: Task  # the head of transformers whose layers it has
    vector: Output  # which states it asks the encoder for
    size = ""  # what the description of the head calls the number of its outputs, where that may differ
    pooling: Pooling = "cls"  # which vector of a window it reads; heads for tokens read none
    n_truncated = 0

    def __init__(
        self,
        encoder: Encoder,
        dropout: float | None,
        head_lr_scale: float,
        build: Callable[[dict[str, Any]], torch.nn.Module] | None = None,
        **attrs: Any,
    ) -> None:
        check_setting("dropout", dropout, dropout is None or 0 <= dropout < 1, "a rate from 0 up to, but not 1")
        check_setting("head_lr_scale", head_lr_scale, head_lr_scale > 0, "a factor above 0")
        super().__init__(
            self.title,
            type(self).score,
            init=type(self).build_head,
            layers=[encoder],
            shims=[TorchShim(build or build_layers, partial(_get_lr_scale, head_lr_scale))],
            dims={"nO": None},
            # thinc's name; spaCy sets it before each update
            attrs=attrs | ({"dropout_rate": 0.0} if dropout is None else {}),
        )
        self._dropout = dropout
        encoder.require(self.vector)

    @property
    def n_outputs(self) -> int:
        """How many scores there are."""
        raise NotImplementedError

    def score(self, docs: list[Doc], is_train: bool) -> tuple[OutT, Callable[[Any], list[Doc]]]:
        """Score documents, and return what sends a gradient back; thinc's forward function."""
        raise NotImplementedError

    def build_head(self, X: Any = None, Y: Any = None) -> None:
        """Build the head and load the encoder; thinc calls this to initialize the model.

        Raises:
            NotInitializedError: There are no outputs.
        """
        if not self.n_outputs:
            name, outputs = self.title.replace("_", " "), self.size.removeprefix("n_")
            raise NotInitializedError(f"The {name} has no {outputs}. Initialize it through its component.")
        self.encoder.initialize(X)
        self.shim.attach({"width": self.encoder.get_dim("nO"), **self.describe_layers()})
        self.set_dim("nO", self.n_outputs, force=True)

    def describe_layers(self) -> dict[str, Any]:
        """Describe the layers: those of a head of transformers for the family of the encoder, where that is known."""
        source = self.find_source() if self.pooling in DENSE else None
        layout = source.module.find_head_layout(self.task, self.pooling) if source else None
        sizes = {self.size: self.n_outputs} if self.size else {}
        return sizes | (layout or HeadLayout()).spec

    def grow(self, n_outputs: int, like: int | None = None, bias: float = BIAS_OF_NEW) -> None:
        """Append outputs to an initialized head; what it has learned stays as it is, bit for bit.

        New outputs start with a low score, so that predictions stay what they are too.

        Args:
            n_outputs: How many there are to be in all.
            like: The output whose texts or tokens the new ones have been in so far, such as `O`: they start below its
                score. By default, they start with one low score for every state.
            bias: What is added to their bias.

        Source: Cermelli et al. (2020), Modeling the Background, section 3.2, with a lower score.
        """
        n_before = self.get_dim("nO")
        self.shim.grow(self.shim.spec | {self.size: n_outputs})
        linear: torch.nn.Linear = self.module.linear
        with torch.no_grad():
            if like is not None:
                linear.weight[n_before:], linear.bias[n_before:] = linear.weight[like], linear.bias[like]
            linear.bias[n_before:] += bias
        self.set_dim("nO", n_outputs, force=True)

    @property
    def dropout_rate(self) -> float:
        """The rate of dropout on the states in training."""
        return self.attrs["dropout_rate"] if self._dropout is None else self._dropout

    @property
    def encoder(self) -> Encoder:
        """The encoder under the head, its own or one that it shares. spaCy may replace the one with the other."""
        return cast(Encoder, self.layers[0])

    def encode(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Callable[[EncodedGradient], list[Doc]]]:
        """Run the encoder, and let `watch_states` see what it gives."""
        encoded, backprop = self.layers[0](docs, is_train)
        if (watched := _watched.get()) is not None:
            watched.append(encoded)
        return encoded, backprop

    def run_layers(
        self,
        encoded: EncodedDocs,
        backprop_encoder: Callable[[EncodedGradient], list[Doc]],
        is_train: bool,
        compute: Callable[[torch.Tensor, float], torch.Tensor],
    ) -> tuple[NDArray[np.float32], Callable[[NDArray[np.floating]], list[Doc]]]:
        """Compute scores of states, and return what sends their gradient back, through the encoder too.

        Args:
            encoded: What `encode` gave.
            backprop_encoder: What it gave with that.
            is_train: Whether gradients will come.
            compute: Computes scores, by states and a rate of dropout.

        Raises:
            ShapeError: The states have another width than the head; those of a shared encoder come from elsewhere.
        """
        states, width = encoded.vectors[self.vector], self.first_layer.in_features
        if states.shape[-1] != width:
            raise ShapeError("the states of the encoder", tuple(states.shape), f"a width of {width}, as trained")
        states = states.detach().requires_grad_(is_train)
        with torch.set_grad_enabled(is_train):
            scores = compute(states, self.dropout_rate if is_train else 0.0)

        def backprop(d_scores: NDArray[np.floating]) -> list[Doc]:
            torch.autograd.backward(scores, torch.from_numpy(d_scores).to(scores))
            return backprop_encoder({self.vector: cast(torch.Tensor, states.grad)})

        return scores.detach().cpu().numpy(), backprop

    @property
    def first_layer(self) -> torch.nn.Linear:
        """The layer that reads the states."""
        head = self.module
        return getattr(head, "pooler", None) or head.linear

    def check_stored(self) -> None:
        """Raise unless a head that was stored has the outputs that it should have, and fits its encoder.

        Raises:
            CheckpointError: It does not.
        """
        if not self.is_initialized:
            return
        n_outputs = self.n_outputs
        linear: torch.nn.Linear = self.module.linear
        if not linear.out_features == self.maybe_get_dim("nO") == n_outputs:
            raise CheckpointError(f"Its head has {linear.out_features} outputs. Expected one for each of {n_outputs}.")
        width = self.encoder.maybe_get_dim("nO")
        if width not in (None, self.first_layer.in_features):
            raise CheckpointError(
                f"Its head is for states of width {self.first_layer.in_features}; those of its encoder have {width}."
            )

    def find_source(self) -> BertEncoder | None:
        """Return the encoder that computes the states; None if it is not one of ours, or not linked."""
        return self.encoder.find_source()


def make_stored(name: str) -> Any:
    """Make a property of a model for what thinc stores with it, in its `attrs`."""
    return property(lambda model: model.attrs[name], lambda model, value: model.attrs.update({name: value}))


class LabelModel(HeadModel[OutT]):
    """A head with a score for every label.

    Attributes:
        n_labels: How many labels there are; to be set before the model is initialized.
    """

    size = "n_labels"
    n_labels: int = make_stored("n_labels")
    n_outputs = n_labels

    def add_output(self, bias: float = BIAS_OF_NEW) -> None:
        """Append an output to an initialized head; see `HeadModel.grow`."""
        self.n_labels += 1
        self.grow(self.n_labels, bias=bias)


def find_own_encoder(model: Any) -> PretrainedModel[Any] | None:
    """Return the encoder with weights of its own that the model of any component is or contains."""
    nodes = model.walk() if isinstance(model, Model) else ()
    return next((node for node in nodes if isinstance(node, PretrainedModel)), None)


class LearnRateWarning(UserWarning):
    """A whole pretrained encoder is trained at a learning rate for small models."""


def warn_of_high_rate(name: str, model: Any, rate: float) -> bool:
    """Warn if the learning rate of a component is too high for an encoder that is trained as a whole; tell if it is."""
    own = find_own_encoder(model)
    is_whole = own is not None and own.settings.frozen_layers == "none" and own.settings.adapter is None
    if is_high := is_whole and rate > _MAX_LEARN_RATE:
        warnings.warn(
            f"{name}: the learning rate {rate:g} is high for fine-tuning a whole encoder, which may forget "
            f"what it knows. Expected at most {_MAX_LEARN_RATE:g}: pass --training.optimizer.learn_rate 1e-4 to "
            "spacy train, or start from the recipe that `spacy-bertft init-config` writes.",
            LearnRateWarning,
            stacklevel=4,
        )
    return is_high


def make_linear(width: int, n_outputs: int, *, bias: bool = True) -> torch.nn.Linear:
    """Make a linear layer that starts as those of BERT's own heads do."""
    linear = torch.nn.Linear(width, n_outputs, bias=bias)
    torch.nn.init.normal_(linear.weight, std=0.02)
    if bias:
        torch.nn.init.zeros_(linear.bias)
    return linear


def build_layers(spec: dict[str, Any]) -> HeadLayers:
    """Build the layers of a head from its description; one for questions has two outputs, start and end."""
    return HeadLayers(spec["width"], spec.get(LabelModel.size, 2), **read_layers(spec))


def read_layers(spec: dict[str, Any]) -> dict[str, Any]:
    """Read from the description of a head what `HeadLayers` is given; not all of it was always stored."""
    return {name: spec.get(name, default) for name, default in HeadLayout().spec.items()}


class HeadLayers(torch.nn.Module):
    """A linear layer from vectors to scores, with a dense layer before it if asked for.

    Args:
        width: Width of the vectors.
        n_outputs: How many scores there are.
        has_pooler: Whether a dense layer comes first.
        activation: What follows that layer, by its name in transformers.
        norm_eps: What the normalization after that adds to the variance; None for no normalization.
        biases: Which of dense layer (`pooler`) and normalization (`norm`) have a bias.
    """

    def __init__(
        self,
        width: int,
        n_outputs: int,
        *,
        has_pooler: bool,
        activation: str,
        norm_eps: float | None,
        biases: Sequence[str],
    ) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        self.pooler = make_linear(width, width, bias="pooler" in biases) if has_pooler else None
        self.activate = ACT2FN[activation]
        self.norm = None if norm_eps is None else torch.nn.LayerNorm(width, norm_eps, bias="norm" in biases)
        self.linear = make_linear(width, n_outputs)

    def forward(self, vectors: torch.Tensor, dropout_rate: float) -> torch.Tensor:
        """Score, `(R, H)` → `(R, L)`."""
        if self.pooler is not None:
            vectors = self.activate(self.pooler(vectors))
        if self.norm is not None:
            vectors = self.norm(vectors)
        return self.linear(torch.nn.functional.dropout(vectors, dropout_rate, training=dropout_rate > 0))


def _get_lr_scale(head_lr_scale: float, module: torch.nn.Module, name: str) -> float:
    return head_lr_scale  # the same for all parameters of a head


def find_pretrained_head(model: HeadModel[Any], task: Task) -> CheckpointHead | None:
    """Read the head that came with the checkpoint of a model's encoder, or None where there is none.

    Raises:
        CheckpointNotFoundError: The encoder has a checkpoint of its own, and nothing is found under its name.
        CheckpointError: Part of the head is missing, or it does not classify.
    """
    source = model.find_source()
    return read_head(source.settings.name, task) if source else None


def load_head(model: HeadModel[Any], head: CheckpointHead) -> None:
    """Put the weights of a checkpoint's head into an initialized model; what it lacks stays as it is.

    Raises:
        SettingError: The model has no place for some of them, or its features are not those of the last layer.
        CheckpointError: The weights do not fit, or the checkpoint has more weights than its encoder and this head.
    """
    source = model.find_source()
    if model.pooling != head.layout.pooling:
        raise SettingError(
            "pooling", model.pooling, f"{head.layout.pooling}, for which the head of {head.name} was trained"
        )
    if source is not None and source.settings.layers != "last":
        raise SettingError("layers", source.settings.layers, f"last, for which the head of {head.name} was trained")
    if source is not None and (unused := find_unused(source.module, head.others, head.task)):
        raise CheckpointError(
            f"{head.name} has weights that neither its encoder nor its head uses: {name_some(unused)}. What its own "
            "code does with them cannot be computed here. If they are leftovers, load the checkpoint with transformers "
            "and save it again."
        )
    # The layers are those of the head, whatever those of a new head over this encoder would be.
    if read_layers(model.shim.spec) != head.layout.spec:
        model.shim.attach(model.shim.spec | head.layout.spec)
    module = model.module
    load_weights(module, module.state_dict() | head.weights, f"the head of {head.name}")


def export_checkpoint(model: HeadModel[Any], task: Task, name: str) -> Checkpoint:
    """Give an encoder and its head as a checkpoint of transformers; an adapter is merged into the weights.

    Args:
        model: A model with a head, initialized.
        task: What the head is for.
        name: What to call it in errors.

    Returns:
        A checkpoint whose configuration does not describe the head yet.

    Raises:
        UnsupportedError: No class of transformers computes the same: the features or the pooling are others.
    """
    source = model.find_source()
    if source is None:
        raise UnsupportedError(f"{name} has no encoder of its own, so there is nothing to export.")
    if source.settings.layers != "last":
        raise UnsupportedError(
            f"{name} sees features of other layers (layers = {source.settings.layers}), which no head of transformers "
            "does. Expected layers = last."
        )
    bert: BertModule = source.module
    spec = source.shim.spec
    config = spec["config"] | describe_pooling(spec["config"], task, model.pooling)
    layout, family = find_head_layout(config, task), config["model_type"]
    if layout is None:
        raise UnsupportedError(f"{name}: no head of the family '{family}' that {TASKS[task].purpose} is known.")
    if model.pooling != layout.pooling or read_layers(model.shim.spec) != layout.spec:
        raise UnsupportedError(
            f"{name} has other layers before the scores than a head of the family '{family}' in transformers. "
            f"Expected pooling = {layout.pooling}."
        )
    made = build_described(bert.bert.config, task)
    if type(made.base_model) is not type(bert.bert):
        kinds = f"{type(bert.bert).__name__}, but {type(made).__name__} those of {type(made.base_model).__name__}"
        raise UnsupportedError(f"{name} reads the states of {kinds}.")
    head = model.module.state_dict()
    encoder = merge_adapter(bert.bert) if spec.get("adapter") else bert.bert.state_dict()
    weights = {f"{bert.bert.base_model_prefix}.{key}": each for key, each in encoder.items()}
    # The pooler that BERT's head for texts has comes from our head, where it has learned; that for tokens has none.
    weights |= {theirs: head[ours] for ours, theirs in layout.find_names().items()}
    known = made.state_dict().keys()
    weights = convert_to_stored(made, {key: each for key, each in weights.items() if key in known})
    return Checkpoint(name, config, bert.tokenizer, weights)
