"""What the heads share: their encoder, and how their layers are built."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model
from thinc.compat import torch

from spacy_bertft.checkpoints import CheckpointHead, Task, read_head
from spacy_bertft.checkpoints.heads import HeadLayout, Pooling
from spacy_bertft.errors import CheckpointError, NotInitializedError, ShapeError, check_setting
from spacy_bertft.models.encoder.build import BertEncoder, Encoder, PretrainedModel
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, Output
from spacy_bertft.models.store.graph import GraphModule
from spacy_bertft.models.store.shim import OutT, TorchModel, TorchShim

# Added to the bias of outputs that a trained head is given, so that they win nowhere before they have learned.
BIAS_OF_NEW = -5.0

# A head that has learned from short texts is often wrong in windows of this many subword tokens or more, where they are
# also more than twice as long as any that it has learned from; see benchmarks/accuracy, "Joining".
_LONG_WINDOW = 129
ANY_LENGTH = 1 << 30  # of windows, in subword tokens

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
    _may_warn = True  # of long windows

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
            attrs=attrs | {"longest_learned": 0} | ({"dropout_rate": 0.0} if dropout is None else {}),
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
        self.attrs["longest_learned"] = 0
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
        """Run the encoder, and let `watch_states` see what it gives; warn of windows unlike those of training, once."""
        encoded, backprop = self.layers[0](docs, is_train)
        if (watched := _watched.get()) is not None:
            watched.append(encoded)
        longest, learned = int(encoded.window_lengths.max(initial=0)), self.attrs["longest_learned"]
        if is_train:
            self._may_warn = False  # the longest text may be still to come
        elif self._may_warn and longest >= _LONG_WINDOW and longest > 2 * learned > 0:
            self._may_warn = False
            warnings.warn(
                f"The {self.title.replace('_', ' ')} reads {longest} subword tokens in one window, and has learned "
                f"from {learned} at most, so it may be much worse there. Set window = {learned} or windows_over = "
                '"sentences" in its encoder (get_spans of a stock transformer), or train it on texts as long. This is '
                "reported once.",
                stacklevel=2,
            )
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
        states, head = encoded.vectors[self.vector], self.module
        if states.shape[-1] != head.width:
            raise ShapeError("the states of the encoder", tuple(states.shape), f"a width of {head.width}, as trained")
        if isinstance(head, GraphModule):
            return head.graph(states=np.asarray(states)), lambda d_scores: head.refuse("training")
        states = states.detach().requires_grad_(is_train)
        with torch.set_grad_enabled(is_train):
            scores = compute(states, self.dropout_rate if is_train else 0.0)

        def backprop(d_scores: NDArray[np.floating]) -> list[Doc]:
            if d_scores.any():
                longest = int(encoded.window_lengths.max(initial=0))
                self.attrs["longest_learned"] = max(longest, self.attrs["longest_learned"])
            torch.autograd.backward(scores, torch.from_numpy(d_scores).to(scores))
            return backprop_encoder({self.vector: cast(torch.Tensor, states.grad)})

        return scores.detach().cpu().numpy(), backprop

    def check_stored(self) -> None:
        """Raise unless a head that was stored has the outputs that it should have, and fits its encoder.

        Raises:
            CheckpointError: It does not.
        """
        if not self.is_initialized:
            return
        head, n_outputs = self.module, self.n_outputs
        if not head.n_outputs == self.maybe_get_dim("nO") == n_outputs:
            raise CheckpointError(f"Its head has {head.n_outputs} outputs. Expected one for each of {n_outputs}.")
        width = self.encoder.maybe_get_dim("nO")
        if width not in (None, head.width):
            raise CheckpointError(f"Its head is for states of width {head.width}; those of its encoder have {width}.")

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


def build_layers(spec: dict[str, Any]) -> Any:
    """Build the layers of a head from its description; one for questions has two outputs, start and end."""
    from spacy_bertft.models.heads.layers import HeadLayers  # which needs torch

    return HeadLayers(spec["width"], spec.get(LabelModel.size, 2), **read_layers(spec))


def read_layers(spec: dict[str, Any]) -> dict[str, Any]:
    """Read from the description of a head what `HeadLayers` is given; not all of it was always stored."""
    return {name: spec.get(name, default) for name, default in HeadLayout().spec.items()}


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
